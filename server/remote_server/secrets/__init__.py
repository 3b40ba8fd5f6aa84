"""Values that jobs get by name: encrypted in the database, readable with the server's key only.

keys      the cipher: one key, and several of which the last one seals
source    where the keys come from: a file, or the environment
vault     sets secrets, and gives them to the jobs that may have them
rotation  has all of them sealed with a new key
"""

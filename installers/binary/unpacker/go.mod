module remote-agent/installers/binary/unpacker

go 1.25

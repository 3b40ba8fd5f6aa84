#!/bin/sh
echo "the script was pushed"

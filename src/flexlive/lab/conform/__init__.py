"""Judging a driver backend from outside: does it speak `flexlive.v1` as docs/driver-protocol.md says?"""

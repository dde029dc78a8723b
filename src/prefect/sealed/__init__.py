"""The encrypted file: its bytes, its keys, who reads and writes it. Knows no flow.

Build writes here, info and run read. Alone in importing cryptography; of this package it imports
errors.
"""

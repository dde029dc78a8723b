"""Keys of sealed flows: encryption keys, recipients, signers, their texts, and keyrings of them.

Whoever seals or opens passes here.
"""

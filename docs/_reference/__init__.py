"""The reference of the documentation site, made from the code's own schemas while it is built.

A step, task, option, command or record gets its page by being there; nothing is written twice.
"""

"""What people type: parse, call, print. `cli.bootstrap` alone joins machine and effects."""

__version__ = "0.1.0"

"""What people type: parse, call, print. `cli.bootstrap` alone joins machine and effects."""

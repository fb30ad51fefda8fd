"""A stand-in for an Avaya Communication Manager, made from how public programs speak to one."""

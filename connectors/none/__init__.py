"""Phone systems without a connector: nothing is reached, and only visits that are not recorded here are permitted."""

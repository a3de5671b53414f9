"""How many neurons an optimal network needs: caps of directions, each of which needs one."""

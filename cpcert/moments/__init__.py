"""The moment relaxation of the whole training problem: bounds where the rank is large and branching is hopeless."""

"""Networks that others trained: reading them and comparing them with what is proven."""

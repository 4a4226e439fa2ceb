"""Language models as proposers: how they are called, what calls may cost, and what is kept of them."""

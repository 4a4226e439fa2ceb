"""Where candidates come from: the catalogue, the compiler, the tuner."""

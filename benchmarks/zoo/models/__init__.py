"""The models of the zoo: each a function that gives a model with seeded weights and its example inputs."""

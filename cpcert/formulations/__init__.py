"""The loss as a function of representations (Prop. 1) and of covariances (Prop. 3): views of the same network."""

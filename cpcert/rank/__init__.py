"""Completely positive matrices, cp-rank, and Rank_σ of covariance pairs: bounds with proofs."""

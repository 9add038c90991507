"""rayformers: train and serve transformer models on a Ray cluster."""

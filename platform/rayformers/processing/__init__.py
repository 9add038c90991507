"""Raw inputs to model inputs: tokenizers, image processors, chat templates."""

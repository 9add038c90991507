"""The tokenizer classes of the architectures: their special tokens, options and older vocabularies."""

"""text2text-generation, summarization and translation: one text to another, by an encoder-decoder."""

from __future__ import annotations

import warnings
from enum import Enum
from typing import Any, ClassVar

from ..errors import InputError
from .base import Parameters
from .generative import GenerativePipeline, specific_parameters
from .text import check_text


class ReturnType(Enum):
    """What an answer holds: token ids or text."""

    TENSORS = 0
    TEXT = 1


class Text2TextGenerationPipeline(GenerativePipeline):
    """Texts to [{"generated_text"}] (guide: main_classes/pipelines)."""

    task_defaults = {"max_new_tokens": 256, "num_beams": 4}  # noqa: RUF012
    return_name: ClassVar[str] = "generated"

    def __call__(self, inputs: Any, *args: Any, **parameters: Any) -> Any:
        """Generate.

        Args:
            inputs: a text, or a list, dataset or generator of texts.
            parameters: options of the tokenizer's truncation, of `generate`, and return_tensors, return_text,
                clean_up_tokenization_spaces, batch_size.

        Returns:
            [{"generated_text"}] for a text; for a list one dict each, lists where several sequences are returned.
        """
        result = super().__call__(inputs, *args, **parameters)
        if isinstance(inputs, list) and all(isinstance(i, str) for i in inputs) and all(len(r) == 1 for r in result):
            return [answers[0] for answers in result]
        return result

    def _sanitize_parameters(
        self,
        return_tensors: bool | None = None,
        return_text: bool | None = None,
        return_type: ReturnType | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        truncation: Any = None,
        stop_sequence: str | None = None,
        **generate: Any,
    ) -> Parameters:
        post: dict[str, Any] = {}
        if return_type is None and return_tensors is not None:
            return_type = ReturnType.TENSORS if return_tensors else ReturnType.TEXT
        if return_type is not None:
            post["return_type"] = return_type
        if clean_up_tokenization_spaces is not None:
            post["clean_up_tokenization_spaces"] = clean_up_tokenization_spaces
        if stop_sequence is not None:
            ids = self.tokenizer.encode(stop_sequence, add_special_tokens=False)
            if len(ids) > 1:
                warnings.warn("stop_sequence is several tokens; generation stops at the first of them.", stacklevel=4)
            generate["eos_token_id"] = ids[0]
        return {} if truncation is None else {"truncation": truncation}, generate, post

    def preprocess(self, inputs: Any, truncation: Any = False, **options: Any) -> dict[str, Any]:
        text = (self.prefix or "") + check_text(inputs, self.task or "text2text-generation")
        encoded = dict(self.tokenizer(text, truncation=truncation, return_tensors="pt", **options))
        encoded.pop("token_type_ids", None)
        return encoded

    def _forward(self, model_inputs: dict[str, Any], **options: Any) -> Any:
        length = int(model_inputs["input_ids"].shape[-1])
        self.check_inputs(
            length,
            int(options.get("min_length", self.generation_config.min_length) or 0),
            int(options.get("max_length", self.generation_config.max_length) or 0),
        )
        return {"output_ids": self.generate(model_inputs, options)}

    def check_inputs(self, input_length: int, min_length: int, max_length: int) -> bool:
        """Warn where the lengths look unlikely for the task; always True here."""
        return True

    def postprocess(
        self,
        model_outputs: Any,
        return_type: ReturnType = ReturnType.TEXT,
        clean_up_tokenization_spaces: bool = False,
    ) -> Any:
        records = []
        for ids in model_outputs["output_ids"][0]:
            if return_type is ReturnType.TENSORS:
                records.append({f"{self.return_name}_token_ids": ids})
            else:
                text = self.tokenizer.decode(
                    ids.tolist(), skip_special_tokens=True, clean_up_tokenization_spaces=clean_up_tokenization_spaces
                )
                records.append({f"{self.return_name}_text": text})
        return records


class SummarizationPipeline(Text2TextGenerationPipeline):
    """Texts to [{"summary_text"}] (guide: tasks/summarization)."""

    return_name = "summary"

    def check_inputs(self, input_length: int, min_length: int, max_length: int) -> bool:
        if max_length and max_length < min_length:
            warnings.warn(f"min_length ({min_length}) exceeds max_length ({max_length}).", stacklevel=6)
        return True


class TranslationPipeline(Text2TextGenerationPipeline):
    """Texts to [{"translation_text"}] (guide: tasks/translation)."""

    return_name = "translation"

    def _sanitize_parameters(
        self, src_lang: str | None = None, tgt_lang: str | None = None, **options: Any
    ) -> Parameters:
        pre, fwd, post = super()._sanitize_parameters(**options)
        if src_lang is not None:
            pre["src_lang"] = src_lang
        if tgt_lang is not None:
            pre["tgt_lang"] = tgt_lang
        return pre, fwd, post

    def preprocess(
        self, inputs: Any, truncation: Any = False, src_lang: str | None = None, tgt_lang: str | None = None
    ) -> dict[str, Any]:
        build = getattr(self.tokenizer, "_build_translation_inputs", None)
        if build is None:  # the checkpoint knows one pair of languages, or a prefix names them (T5)
            named = specific_parameters(self.model, f"translation_{src_lang}_to_{tgt_lang}").get("prefix")
            prefix = named if self.prefix is None and named is not None else ""
            return super().preprocess(prefix + check_text(inputs, "translation"), truncation)
        src_lang, tgt_lang = src_lang or self.tokenizer.src_lang, tgt_lang or self.tokenizer.tgt_lang
        if src_lang is None or tgt_lang is None:
            raise InputError("This model translates between many languages; pass src_lang=... and tgt_lang=...")
        text = (self.prefix or "") + check_text(inputs, "translation")
        built = build(text, return_tensors="pt", src_lang=src_lang, tgt_lang=tgt_lang, truncation=truncation)
        return dict(built)

    def batch_key(self, model_inputs: Any) -> Any:
        return super().batch_key(model_inputs), model_inputs.get("forced_bos_token_id")

    def collate(self, units: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super().collate(units)
        if "forced_bos_token_id" in batch:  # equal for the whole batch, see batch_key
            batch["forced_bos_token_id"] = batch["forced_bos_token_id"][0]
        return batch

"""A small checkpoint of any family: its configuration with every size made small, and a tokenizer of its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slimner import zoo

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG")
WINDOW = 64

# Sizes by the names that configurations give them; a family takes those it knows.
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "emb_dim", "embedding_size", "embed_dim"), 32),
    **dict.fromkeys(("input_embedding_size", "output_embedding_size", "out_hidden_size", "output_dim"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layers", "num_layers", "n_layer", "encoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_heads", "n_head", "num_heads", "encoder_attention_heads"), 2),
    **dict.fromkeys(("num_key_value_heads", "n_kv_heads"), 1),
    **dict.fromkeys(("intermediate_size", "d_ff", "d_inner", "hidden_dim", "ffn_dim", "n_inner", "moe_dim"), 64),
    **dict.fromkeys(("head_dim", "d_kv", "d_head"), 16),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "n_group", "topk_group"), 2),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx"), WINDOW),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "v_head_dim", "qk_nope_head_dim"), 16),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim"), 16),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads"), 2),
    "qk_rope_head_dim": 8,
    "initializer_range": 0.4,
}

# What a family needs beyond small sizes; `None` leaves a size as the family has it.
SPECIAL: dict[str, dict[str, Any]] = {
    "axk1": {"num_key_value_heads": 2, "head_dim": None, "n_group": 1, "topk_group": 1},
    "axk2": {"num_key_value_heads": 2},
    "big_bird": {"attention_type": "original_full"},
    "deberta": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_relative_positions": -1},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_relative_positions": -1},
    "deepseek_v3": {"num_key_value_heads": 2, "head_dim": None, "n_group": 1, "topk_group": 1},
    "diffllama": {"num_key_value_heads": 2},
    "esmc": {"num_key_value_heads": 2},
    "funnel": {"block_sizes": [1, 1], "d_model": 32, "num_hidden_layers": None},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "num_layers": 2},
    "layoutlmv3": {"coordinate_size": 6, "shape_size": 4, "visual_embed": False},
    "lilt": {"hidden_size": 48},  # six coordinates of eight
    "longformer": {"attention_window": 16},
    "luke": {"entity_vocab_size": 20, "entity_emb_size": 16},
    "megatron-bert": {"max_position_embeddings": WINDOW},
    "mistral4": {"num_key_value_heads": 2, "qk_nope_head_dim": 8},
    "mobilebert": {"true_hidden_size": 32, "intra_bottleneck_size": 32, "embedding_size": 32},
    "nystromformer": {"num_landmarks": 4, "segment_means_seq_len": WINDOW},
    "qwen3_5_text": {"layer_types": ["linear_attention", "full_attention"]},
    "qwen3_asr": {"eos_token_id": 3},
    "qwen3_next": {"layer_types": ["linear_attention", "full_attention"]},
    "squeezebert": {"embedding_size": 32},
    "t5gemma": {"is_encoder_decoder": False},
    "t5gemma2_decoder": {"bos_token_id": 0},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
}

# Random weights by which other families than these tag something, so that served entities can be compared.
SEED = 4
SEEDS = {"layoutlm": 7, "rembert": 5, "squeezebert": 5}

BYTE_PAIRS = [
    "roberta",
    "roberta-prelayernorm",
    "data2vec-text",
    "longformer",
    "luke",
    "ibert",
    "lilt",
    "layoutlmv3",
    "deberta",
    "modernbert",
    "eurobert",
    "markuplm",
    "esmc",
    "bloom",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neox",
    "gpt_oss",
    "falcon",
    "mpt",
    "phi",
    "qwen2",
    "qwen2_moe",
    "qwen3",
    "qwen3_moe",
    "qwen3_next",
    "qwen3_5",
    "starcoder2",
    "stablelm",
    "smollm3",
    "glm",
    "glm4",
    "exaone4",
    "deepseek_v3",
    "seed_oss",
    "openai_privacy_filter",
    "mistral4",
    "ministral",
    "ministral3",
]
UNIGRAMS = [
    "albert",
    "big_bird",
    "camembert",
    "deberta-v2",
    "fnet",
    "rembert",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xlnet",
    "xmod",
    "xlm",
    "flaubert",
    "jina_embeddings_v3",
    "t5",
    "mt5",
    "umt5",
    "t5gemma",
    "t5gemma2",
    "llama",
    "mistral",
    "mixtral",
    "gemma",
    "gemma2",
    "gpt-sw3",
]


def make(family: str, model: str, directory: Path) -> Path:
    """A checkpoint of that family, as its users save theirs."""
    import torch
    import transformers
    from transformers import CONFIG_MAPPING, PreTrainedTokenizerFast

    kind = "bpe" if family in BYTE_PAIRS else "unigram" if family in UNIGRAMS else "wordpiece"
    trained, special = tokenizer(kind)
    tokens = PreTrainedTokenizerFast(tokenizer_object=trained, model_max_length=WINDOW, **special)
    kind_of_config = CONFIG_MAPPING[family]
    tags = {"id2label": dict(enumerate(TAGS)), "label2id": {tag: i for i, tag in enumerate(TAGS)}}
    ids = {"pad_token_id": tokens.pad_token_id, "bos_token_id": None, "eos_token_id": None}
    config = kind_of_config(**{**_small(kind_of_config(), ids, len(tokens)), "vocab_size": len(tokens), **tags})
    torch.manual_seed(SEEDS.get(family, SEED))
    getattr(transformers, model)(config).save_pretrained(directory)
    tokens.save_pretrained(directory)
    return directory


def _small(default: Any, ids: dict[str, int | None], vocabulary: int) -> dict[str, Any]:
    """What to give a configuration in place of what it has by default, also to those it is made of."""
    from transformers import PreTrainedConfig

    known = {*default.to_dict(), *getattr(type(default), "attribute_map", {})}
    given = {name: value for name, value in {**SIZES, **ids, "vocab_size": vocabulary}.items() if name in known}
    given |= SPECIAL.get(default.model_type, {})
    parts = {name: part for name, part in vars(default).items() if isinstance(part, PreTrainedConfig)}
    given |= {name: _small(part, ids, vocabulary) for name, part in parts.items()}
    return {name: value for name, value in given.items() if value is not None or name in ids}


def tokenizer(kind: str) -> tuple[Any, dict[str, str]]:
    """A tokenizer of that kind, trained on the embedded texts, and its special tokens."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    if kind == "wordpiece":
        names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer = normalizers.BertNormalizer()
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer: Any = trainers.WordPieceTrainer(vocab_size=900, special_tokens=[*names.values()], show_progress=False)
    else:
        names = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}
        if kind == "bpe":
            made = Tokenizer(models.BPE())
            made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            made.decoder = decoders.ByteLevel()
            trainer = trainers.BpeTrainer(
                vocab_size=900,
                special_tokens=[*names.values()],
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                show_progress=False,
            )
        else:
            made = Tokenizer(models.Unigram())
            made.normalizer = normalizers.NFKC()
            made.pre_tokenizer = pre_tokenizers.Metaspace()
            made.decoder = decoders.Metaspace()
            trainer = trainers.UnigramTrainer(
                vocab_size=4000, special_tokens=[*names.values()], unk_token="<unk>", show_progress=False
            )
    made.train_from_iterator(zoo.workload().read_text(encoding="utf-8").splitlines(), trainer)
    first, last = names["cls_token"], names["sep_token"]
    made.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B {last}",
        special_tokens=[(token, made.token_to_id(token)) for token in (first, last)],
    )
    return made, names


def window_texts(window: int) -> tuple[str, str]:
    """A text longer than the window of any tokenizer, and a short one."""
    lines = zoo.workload().read_text(encoding="utf-8").splitlines()
    long = ""
    for line in lines:
        long += line
        if len(long) > 4 * window:
            break
    return long, lines[0]

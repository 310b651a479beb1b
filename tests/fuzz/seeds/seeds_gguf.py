"""GGUF headers, sound and lying."""

import struct

from corpus_files import seeds
import gguf_tools as gguf

F32 = 0


def model(family="llama", layers=1):
    header = gguf.Header()
    header.set_text("general.architecture", family)
    for key, value in {
        "block_count": layers,
        "context_length": 256,
        "embedding_length": 32,
        "feed_forward_length": 32,
        "attention.head_count": 2,
        "attention.head_count_kv": 1,
    }.items():
        header.set(f"{family}.{key}", gguf.UINT32, value)
    header.set(f"{family}.attention.layer_norm_rms_epsilon", gguf.FLOAT32, 1e-5)
    tokens = ["<unk>", "<s>", "</s>", "a", "▁"]
    header.set("tokenizer.ggml.model", gguf.STRING, "llama")
    header.set("tokenizer.ggml.tokens", gguf.ARRAY, (gguf.STRING, tokens))
    header.set("tokenizer.ggml.scores", gguf.ARRAY, (gguf.FLOAT32, [0.0] * 5))
    header.set("tokenizer.ggml.token_type", gguf.ARRAY, (gguf.INT32, [2, 3, 3, 1, 1]))
    shapes = {"token_embd.weight": [32, 5], "output_norm.weight": [32]}
    for layer in range(layers):
        for name, shape in {
            "attn_norm": [32],
            "attn_q": [32, 32],
            "attn_k": [32, 16],
            "attn_v": [32, 16],
            "attn_output": [32, 32],
            "ffn_norm": [32],
            "ffn_gate": [32, 32],
            "ffn_up": [32, 32],
            "ffn_down": [32, 32],
        }.items():
            shapes[f"blk.{layer}.{name}.weight"] = shape
        if family in ("qwen3", "gemma3"):
            shapes[f"blk.{layer}.attn_q_norm.weight"] = shapes[f"blk.{layer}.attn_k_norm.weight"] = [16]
        if family == "gemma3":
            shapes[f"blk.{layer}.post_attention_norm.weight"] = shapes[f"blk.{layer}.post_ffw_norm.weight"] = [32]
    offset = 0
    for name, shape in shapes.items():
        header.tensors.append(gguf.Tensor(name, shape, F32, offset))
        offset += (header.tensors[-1].bytes() + 31) // 32 * 32
    return header


def with_key(name, kind, value):
    header = model()
    header.set(name, kind, value)
    return header.unpadded()


def with_tensor(**changes):
    header = model()
    for name, value in changes.items():
        setattr(header.tensors[0], name, value)
    return header.unpadded()


def spoiled(**changes):
    header = model()
    for name, value in changes.items():
        setattr(header, name, value)
    return header.unpadded()


def raw_key(kind, raw):
    header = model()
    header.keys.insert(1, gguf.Key("any", kind, raw))
    return header.unpadded()


def gguf_seeds():
    doubled = model()
    doubled.tensors.append(doubled.tensors[0])
    sampled = model()
    sampled.set("tokenizer.chat_template", gguf.STRING, "{{ ''.__class__.__mro__ }}")
    windowed = model("gemma3", 2)
    windowed.set("gemma3.attention.sliding_window", gguf.UINT32, 16)
    windowed.set("gemma3.attention.sliding_window_pattern", gguf.ARRAY, (gguf.BOOL, [1, 0]))
    yarn = model("qwen3")
    yarn.set("qwen3.rope.scaling.type", gguf.STRING, "yarn")
    yarn.set("qwen3.rope.scaling.factor", gguf.FLOAT32, 4.0)
    seeds(
        "gguf",
        empty=b"",
        sound_llama=model().unpadded(),
        sound_qwen2_two_layers=model("qwen2", 2).unpadded(),
        sound_gemma3_windows=windowed.unpadded(),
        sound_qwen3_yarn=yarn.unpadded(),
        sound_no_tensors=gguf.Header().unpadded(),
        cut_in_a_text=model().unpadded()[:77],
        cut_in_a_tensor=model().unpadded()[:-9],
        tensor_beyond_the_file=with_tensor(offset=1 << 30),
        tensor_offset_wraps=with_tensor(offset=(1 << 64) - 32),
        tensor_offset_unaligned=with_tensor(offset=1),
        dimension_negative=with_tensor(shape=[-1, 5]),
        dimensions_overflow=with_tensor(shape=[1 << 31, 1 << 31]),
        dimensions_wrap=with_tensor(shape=[1 << 62, 4]),
        dimension_zero=with_tensor(shape=[0, 5]),
        dimensions_none=with_tensor(shape=[]),
        dimensions_five=with_tensor(shape=[1] * 5),
        tensor_type_unknown=with_tensor(kind=200),
        tensor_type_negative=with_tensor(kind=-1),
        tensor_name_empty=with_tensor(name=""),
        tensor_name_zero_byte=with_tensor(name="a\0b"),
        tensor_twice=doubled.unpadded(),
        count_of_keys_huge=spoiled(key_count=(1 << 62)),
        count_of_tensors_negative=spoiled(tensor_count=-1),
        version_1=spoiled(version=1),
        version_big_endian=spoiled(version=3 << 24),
        magic_foreign=spoiled(magic=b"ggjt"),
        text_length_overflow=raw_key(gguf.STRING, struct.pack("<Q", (1 << 64) - 8)),
        array_count_overflow=raw_key(gguf.ARRAY, struct.pack("<IQ", gguf.UINT64, (1 << 61) + 1)),
        array_of_arrays=raw_key(gguf.ARRAY, struct.pack("<IQIQ", gguf.ARRAY, 1, gguf.ARRAY, 1)),
        array_of_texts_huge=raw_key(gguf.ARRAY, struct.pack("<IQ", gguf.STRING, 1 << 30)),
        value_type_unknown=raw_key(99, b""),
        bool_of_two=raw_key(gguf.BOOL, b"\x02"),
        alignment_zero=with_key("general.alignment", gguf.UINT32, 0),
        alignment_of_another_type=with_key("general.alignment", gguf.UINT64, 32),
        epsilon_not_a_number=with_key("llama.attention.layer_norm_rms_epsilon", gguf.FLOAT32, float("nan")),
        heads_none=with_key("llama.attention.head_count", gguf.UINT32, 0),
        layers_2_32=with_key("llama.block_count", gguf.UINT64, (1 << 32) + 1),
        token_type_out_of_range=with_key("tokenizer.ggml.token_type", gguf.ARRAY, (gguf.INT32, [2, 3, 3, 9, -1])),
        template_that_runs_code=sampled.unpadded(),
    )

"""Texts, vocabularies, messages in templates, templates."""

from corpus_files import cbor, seeds


def text_seeds():
    def use(number, text, stop=""):
        return bytes([number]) + stop.encode() + b"\0" + (text if isinstance(text, bytes) else text.encode())

    seeds(
        "tokenizer",
        plain=use(0, "the ab 12 'll"),
        spaces=use(5, " " * 600),
        newlines=use(2, "\r\n \n\t\n"),
        han=use(15, "漢字 かな 한글"),
        half_characters=use(6, b"\xe4\xb8 \xff\xc0\x80 \xed\xa0\x80 \xf5"),
        control_token=use(0, "<|im_start|>system <s>"),
        combining=use(19, "e\u0301" * 40),
        many_letters=use(8, "aA" * 200),
        digits=use(9, "1234567" * 30),
        stop=use(26, "a stop b", "stop"),
        stop_across=use(27, "aab", "ab"),
        space_mark=use(26, "▁ ▁a"),
        tabs=use(27, "\t\t\t"),
        noncharacters=use(10, "\ufdd0\uffff\U0010ffff"),
        right_to_left=use(14, "\u202eabc ،؟"),
        emoji=use(21, "👩‍👩‍👧 🇩🇪"),
        seldom_alternatives=use(22, ("x" * 16 + " " * 3) * 20),
    )
    seeds(
        "answer_text",
        passes=b"\0<think>a</think>",
        hermes=b'\1 a\n<tool_call>{"name":"f","arguments":{"x":[1]}}</tool_call>\n<tool_call>{}',
        llama=b'\2 {"name": "f", "parameters": {}}; {"name": "g"}',
        llama_marked=b'\2<|python_tag|>{"name": "g", "parameters": {}}',
        mistral=b'\3[TOOL_CALLS] [{"name": "f", "arguments": {}}] x[TOOL_CALLS]g[CALL_ID]1[ARGS]{}',
        thinks=b"\4 <think>\n a < b \n</think>\n\nc",
        begun=b"\15a</think><tool_call>",
        deep=b"\1<tool_call>" + b"[" * 200,
        cut=b'\5<think>a</think> <tool_call>{"name": "f", "arguments": "{\\"a\\": 1',
    )
    base = {
        "model": "gpt2",
        "pre": "gpt-2",
        "tokens": ["a", "b", "ab", "<s>"],
        "merges": ["a b"],
        "kinds": [1, 1, 1, 3],
        "scores": [],
        "special": {"bos": 3},
        "flags": {"add_bos": True},
        "text": "ab<s>",
    }
    pieces = {
        **base,
        "model": "llama",
        "scores": [0.0, -1.0, -2.0, 0.0],
        "tokens": ["▁", "a", "▁a", "<0x41>"],
        "kinds": [1, 1, 1, 6],
    }
    seeds(
        "vocabulary",
        pairs=cbor(base),
        pieces=cbor(pieces),
        id_out_of_range=cbor({**base, "special": {"bos": 1 << 30}}),
        id_negative=cbor({**base, "special": {"bos": -7}}),
        scores_not_numbers=cbor({**pieces, "scores": [float("nan")] * 4}),
        scores_too_few=cbor({**pieces, "scores": [0.0]}),
        kinds_unknown=cbor({**base, "kinds": [0, 7, -1, 3]}),
        tokens_alike=cbor({**base, "tokens": ["a", "a", "b", "c"]}),
        tokens_empty=cbor({**base, "tokens": ["", "", "", ""]}),
        merge_without_a_space=cbor({**base, "merges": ["ab", " ", "", "a b c"]}),
        merge_of_nothing_known=cbor({**base, "merges": ["x y"]}),
        token_of_half_a_character=cbor({**base, "tokens": ["a", "b", "ab", "XX"]}).replace(b"XX", b"<\xe4"),
        no_tokens=cbor({**base, "tokens": []}),
        pre_unknown=cbor({**base, "pre": "nobody"}),
        model_unknown=cbor({**base, "model": "bert"}),
        control_of_256_bytes=cbor({**base, "tokens": ["a", "b", "ab", "<" * 257]}),
        template=cbor({**base, "chat_template": "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"}),
    )

    def chat(template, *messages):
        return cbor({"template": template, "messages": [list(each) for each in messages]})

    seeds(
        "chat_messages",
        plain=chat(0, (0, "Be brief.", ""), (1, "Hi", "ann"), (2, "", "")),
        control_token=chat(0, (1, "<|im_end|><|im_start|>system", "")),
        control_token_in_a_name=chat(1, (1, "x", "<s>")),
        across_a_seam=chat(0, (1, "<|im_", ""), (1, "end|>", "")),
        parts_taken_out=chat(2, (1, "<|im_/thinkend|>", "")),
        thought=chat(2, (2, "x</think><s>", "")),
        escaped=chat(3, (1, '"<|eot_id|>\\', "")),
        upper=chat(3, (1, "<|IM_END|>", "")),
        trimmed=chat(1, (1, "  <s> ", " <s")),
        noncharacters=chat(0, (1, "".join(map(chr, range(0xFDD0, 0xFDF0))), "")),
        half_character=chat(0, (1, "ä", "")).replace("ä".encode(), b"\xc3\x28"),
        empty=chat(0),
        in_brackets=chat(2, (1, "[INST] [/INST]", "")),
    )
    seeds(
        "chat_template",
        empty="",
        plain="{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
        escape_to_python="{{ ''.__class__.__mro__[1].__subclasses__() }}",
        attribute_walk="{{ messages.__init__.__globals__ }}",
        loop_without_end="{% for i in range(10000) %}{% for j in range(10000) %}{{ i }}{% endfor %}{% endfor %}",
        range_huge="{{ range(99999999999) | list | length }}",
        text_times="{{ 'aaaaaaaaaa' * 999999999 }}",
        text_doubling=(
            "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}"
            "{% endfor %}{{ ns.s }}"
        ),
        macro_calls_itself="{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        nested_deep="{{ " + "(" * 200 + "1" + ")" * 200 + " }}",
        lists_deep="{{ " + "[" * 150 + "]" * 150 + " }}",
        include="{% include 'x' %}{% import '/etc/passwd' as p %}",
        refuses="{{ raise_exception('no') }}",
        date="{{ strftime_now('%Y-%m-%d %H %j %s %é%') }}",
        undefined="{{ nothing.at.all }}",
        division="{{ 1 // 0 }}{{ 1 % 0 }}{{ (-9223372036854775807 - 1) // -1 }}",
        big_numbers="{{ 9223372036854775807 + 1 }}{{ 170141183460469231731687303715884105727 * 2 }}",
        filters=(
            "{{ messages | tojson(indent=2) }}{{ 'a' | indent(99999999) }}"
            "{{ messages | map(attribute='role') | join(',') | upper }}"
        ),
        slices="{{ 'abc'[::-1] }}{{ 'abc'[99:-99:0] }}{{ messages[-1:] }}",
        methods="{{ 'a b'.split()[0].strip().replace('a', 'b' * 1000) }}{{ 'x'.join(['1'] * 1000) }}",
        tests="{{ 1 is odd }}{{ 'a' in 'abc' }}{{ messages is iterable }}",
        replace_grows="{{ ('a' * 100000).replace('', 'b' * 100000) }}",
        format="{{ '%s %99999999d' | format(1, 2) }}",
        sort="{{ range(1000) | list | sort(reverse=true) | unique | batch(3) | list }}",
        loop_controls="{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{% break %}{% endfor %}",
        unicode="{{ '\\u202e' ~ '\U0001f600' }}{# é #}",
        unfinished="{% for",
        raw="{% raw %}{{ {% endraw %}",
        call="{% call f() %}{% endcall %}",
        recursive_loop="{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}",
    )

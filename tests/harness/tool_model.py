"""A model that calls tools, made of the small real one: its weights under a chat template that knows tools, in Hermes's
way. What it calls makes no sense, but it is called as the constraint of the request says.

    with tempfile.TemporaryDirectory() as folder:
        name = make_tool_model(folder)
"""

import mmap
import os
import shutil
import struct

from flotilla import MODELS_FOLDER, SMOLLM2

TOOL_MODEL = "SmolLM2-with-tools"
TEMPLATE = """\
{%- for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}{% for c in m.tool_calls or [] %}
<tool_call>
{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments|tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if tools %}<|im_start|>system
Tools: {{ tools|tojson }}<|im_end|>
{% endif %}<|im_start|>assistant
"""
KEY = b"tokenizer.chat_template"
STRING = 8  # its type in GGUF


def make_tool_model(folder):
    """Writes it into the folder and gives its name. The template takes exactly the place of the one before."""
    path = os.path.join(folder, TOOL_MODEL + ".gguf")
    shutil.copyfile(os.path.join(MODELS_FOLDER, SMOLLM2 + ".gguf"), path)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        place = content.find(KEY) + len(KEY)
        kind, size = struct.unpack_from("<IQ", content, place)
        template = TEMPLATE.encode()
        room = size - len(template) - len("{##}")
        if kind != STRING or room < 0:
            raise AssertionError("expected a template of at least %d bytes but the model's has %d" % (size - room, size))
        content[place + 12:place + 12 + size] = template + b"{#" + b"-" * room + b"#}"
    return TOOL_MODEL

#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets into corpus/TARGET/: of each kind of bytes something sound, so that a fuzzer
gets past the first check, and one file for each class of mistake for which programs like this one have had advisories.
A name says which. What fuzzers found lies beside them as found-*, and is not touched.

  tests/fuzz/make_corpus.py
"""

import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent / "seeds"))
import seeds_api  # noqa: E402
import seeds_files  # noqa: E402
import seeds_gguf  # noqa: E402
import seeds_hub  # noqa: E402
import seeds_messages  # noqa: E402
import seeds_peers  # noqa: E402
import seeds_text  # noqa: E402

if __name__ == "__main__":
    seeds_gguf.gguf_seeds()
    seeds_messages.message_seeds()
    seeds_peers.write()
    seeds_text.text_seeds()
    seeds_api.api_seeds()
    seeds_files.file_seeds()
    seeds_hub.hub_seeds()

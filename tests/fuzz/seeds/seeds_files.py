"""Files that people write."""

from corpus_files import CORPUS, seeds


def file_seeds():
    fleets = CORPUS.parent.parent.parent / "fleets"
    machine = '[[machine]]\nname = "a"\nmemory = "16G"\nbandwidth = 100\n'
    seeds(
        "fleet_file",
        empty="",
        shipped=(fleets / "office.toml").read_text(),
        shipped_models=(fleets / "models.toml").read_text(),
        machine=machine,
        count_huge=machine + "count = 99999999999\n",
        number_not_one=machine + "price = nan\nwatts = inf\n",
        memory_overflow=machine.replace("16G", "99999999999999999999T"),
        kind_wrong="machine = 5\n",
        links=machine + '[[links]]\nbetween = ["a", "a"]\ngbit = 1\nlatency_us = -1\n',
        nested_deep="a = " + "[" * 300,
        keys_deep=".".join("a" * 300) + " = 1\n",
        model=(
            '[model."x"]\nlayers = 1\nwidth = 64\nheads = 1\nhead_length = 64\nfeed_forward = 64\n'
            "vocabulary = 10\ncontext = 10\nbits = 4.5\n"
        ),
        model_overflow=(
            "[model.x]\nlayers = 1000000000\nwidth = 1000000000\nheads = 1000000000\n"
            "head_length = 1000000000\nkv_heads = 1\nfeed_forward = 1000000000\nvocabulary = 1000000000\n"
            "context = 1000000000\nbits = 32\n"
        ),
        model_latent=(
            "[model.x]\nlayers = 2\nwidth = 64\nheads = 2\nvocabulary = 9\ncontext = 9\nlatent_length = 8\n"
            "rotary_length = 4\nquery_latent_length = 4\nexperts = 4\nexperts_used = 2\n"
            "expert_feed_forward = 8\nfeed_forward = 8\ndense_layers = 1\nbits = 4\n"
        ),
        dates="title = 1979-05-27T07:32:00Z\n",
        not_utf8=b'title = "\xff"\n',
    )
    seeds(
        "config_file",
        empty="",
        sound='[serve]\nmodels = ["~/a", "/b"]\nthreads = 4\nmeasure = true\nhome = "~/x"\n',
        section_unknown="[server]\nx = 1\n",
        key_unknown='[serve]\nmodel = "a"\n',
        no_section="threads = 4\n",
        table_in_a_list="[serve]\nmodels = [{a = 1}]\n",
        table="[serve.models]\na = 1\n",
        word_without_quotes="[serve]\nhome = here\n",
        nested_deep="[serve]\nmodels = " + "[" * 300,
        key_twice="[serve]\nthreads = 1\nthreads = 2\n",
        number_odd="[serve]\nthreads = 1e400\nhome = nan\n",
        dates="[serve]\nhome = 1979-05-27\n",
        not_utf8=b'[serve]\nhome = "\xff"\n',
        long_name="[serve]\n" + "a" * 500 + " = 1\n",
    )

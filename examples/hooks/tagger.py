"""Gives every token a tag, such as its part of speech, as a feature.

`-hook_file examples/hooks/tagger -pos_feature`

The tags come from a server, as in the original's hook for TreeTagger. The server receives the tokens of a
sentence, separated by blanks, in the field `sent` of a form posted to `/pos`; it answers with one tag per
token.
"""

import urllib.parse
import urllib.request
from dataclasses import dataclass

from onmt.commandline.declare import between, not_empty, option

FEATURE_MARKER = "￨"
SECONDS = 60


def declareTokenizerOpts(options):  # noqa: N802 - the name of the hook
    """Add the tagger's options (`-tok_src_pos_feature` and so on for on-the-fly tokenization)."""

    @dataclass(frozen=True, kw_only=True)
    class TaggerOptions(options):
        """Tagger"""

        pos_feature: bool = option(False, "Give every token its tag as a feature.")
        pos_server_host: str = option("localhost", "Host of the server that knows the tags.", valid=not_empty)
        pos_server_port: int = option(3000, "Port of the server.", valid=between(1, 65535))

    return TaggerOptions


def post_tokenize(options, tokens):
    """Append to each token its tag, after all other features."""
    if not options.pos_feature or not tokens:
        return None
    words = [token.partition(FEATURE_MARKER)[0] for token in tokens]
    form = urllib.parse.urlencode({"sent": " ".join(words)}).encode()
    url = f"http://{options.pos_server_host}:{options.pos_server_port}/pos"
    with urllib.request.urlopen(url, form, timeout=SECONDS) as answer:
        tags = answer.read().decode("utf-8").split()
    if len(tags) != len(tokens):
        raise ValueError(f"the server gave {len(tags)} tags for {len(tokens)} tokens")
    return [f"{token}{FEATURE_MARKER}{tag}" for token, tag in zip(tokens, tags, strict=True)]

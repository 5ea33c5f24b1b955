"""Why something sent to us was not taken: the closed list of words."""

from __future__ import annotations

from typing import Final

#: Every word with its meaning; the same word is in the answer, in the metric label and in the tests.
REASONS: Final[dict[str, str]] = {
    # one item of a batch
    "not_an_object": "The item is not a JSON object.",
    "unknown_field": "The item has a field that this endpoint does not know; a typing error would be lost silently.",
    "missing_field": "A field that must be there is absent or empty.",
    "bad_value": "A field has a value of the wrong type or outside its range.",
    "forbidden_client": "The key may not write for this client.",
    # the whole request
    "malformed": "The body cannot be parsed.",
    "empty": "There is no body, or the array is empty.",
    "body_too_large": "The body is longer than the limit, before or after decompression.",
    "too_many_items": "The array has more items than the limit.",
    "unsupported_media_type": "The Content-Type or Content-Encoding is not one that we read.",
    "busy": "The queue is full; send again after Retry-After.",
    "journal_unavailable": "The journal cannot be written; send again.",
    # what comes from the Internet: hooks and postbacks
    "unknown_hook": "There is no hook of this name, or it has no secret.",
    "missing_signature": "The header with the signature is not there.",
    "bad_signature": "The signature is not that of this body with a secret of ours.",
    "stale_timestamp": "It was signed too long ago, or our clocks differ.",
    "replayed": "The same delivery was taken before.",
    "secret_unavailable": "Our secret cannot be read; send again.",
    "vendor_unavailable": "What it is about cannot be read at the vendor now; send again.",
    "missing_key": "There is no key.",
    "wrong_key": "The key is unknown or revoked.",
    "wrong_scope": "The key may do other things than this, so it does not belong into an address.",
    "forbidden_address": "The sender's address is not on the list of its key.",
    "rate_limited": "This address sends too much; send again after Retry-After.",
    "too_slow": "The body did not come in time.",
    # a file as a whole, or one of its lines
    "unknown_kind": "There is no import of this kind.",
    "not_found": "There is no such file.",
    "not_a_record": "The line is not a journal line of a known kind.",
    # spans and metric points inside an accepted OTLP request
    "bad_ids": "The trace or span ID is missing, all zero or of the wrong length.",
    "too_old": "The span ended longer ago than we keep minutes open.",
    "not_a_number": "The data point has no finite number.",
}

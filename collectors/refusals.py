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
    # a file as a whole, or one of its lines
    "unknown_kind": "There is no import of this kind.",
    "not_found": "There is no such file.",
    "not_a_record": "The line is not a journal line of a known kind.",
    # spans and metric points inside an accepted OTLP request
    "bad_ids": "The trace or span ID is missing, all zero or of the wrong length.",
    "too_old": "The span ended longer ago than we keep minutes open.",
    "not_a_number": "The data point has no finite number.",
}

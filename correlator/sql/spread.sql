-- Columns of a query, not a query: a bucket [begins, ends) (ms) cut into the parts of the period's grain that it touches.
-- Grain: part of a bucket. Columns: part (number since {since}), part_begins, part_ends (ms).
arrayJoin(range(
    toUInt64(intDiv(greatest(begins, {since:Int64}) - {since:Int64}, {grain_ms:Int64})),
    toUInt64(intDiv(least(ends, {until:Int64}) - {since:Int64} + {grain_ms:Int64} - 1, {grain_ms:Int64})))) AS part,
greatest(begins, {since:Int64} + toInt64(part) * {grain_ms:Int64}) AS part_begins,
least(ends, {until:Int64}, {since:Int64} + (toInt64(part) + 1) * {grain_ms:Int64}) AS part_ends

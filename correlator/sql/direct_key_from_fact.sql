-- The keys that lead a conversion to a click by themselves. Grain: (conversion, key). Columns: fact_id, ts, lookback_ms, method_rank,
-- precedence (of equal ranks), space (0 = a click ID, 1 = a visitor ID, 2 = a key of click_key), key.
-- A platform ID becomes the click ID that core/identity.py derives of it; one that identifies nobody (empty, over 512 bytes, an unfilled
-- macro) is none. Those that can stand for many people are compared, never derived from.
SELECT
    fact_id,
    ts,
    transform(toString(type), {types:Array(String)}, {lookbacks_ms:Array(Int64)}, {lookback_ms:Int64}) AS lookback_ms,
    entry.1 AS method_rank,
    entry.2 AS precedence,
    entry.3 AS space,
    entry.4 AS key
FROM ({{facts}}) AS fact
ARRAY JOIN arrayFilter(e -> e.4 != toFixedString('', 16), arrayConcat(
    [(1, toUInt64(0), 0, click_id)],
    arrayMap(
        name -> (
            if(has({identity_parameters:Array(String)}, name), 2, {shared_rank:UInt8}),
            indexOf(arrayConcat({identity_parameters:Array(String)}, {shared_parameters:Array(String)}), name),
            if(has({identity_parameters:Array(String)}, name), 0, 2),
            toFixedString(substring(SHA256(concat(name, ':', platform_ids[name])), 1, 16), 16)),
        arrayFilter(
            name -> length(platform_ids[name]) BETWEEN 1 AND 512
                AND NOT arrayExists(
                    macro -> length(platform_ids[name]) > length(macro.1) + length(macro.2)
                        AND startsWith(platform_ids[name], macro.1) AND endsWith(platform_ids[name], macro.2),
                    [('{', '}'), ('__', '__'), ('[', ']'), ('<', '>')]),
            arrayConcat({identity_parameters:Array(String)}, {shared_parameters:Array(String)}))),
    [(3, toUInt64(0), 1, visitor_id)])) AS entry

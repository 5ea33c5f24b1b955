-- The words that the behaviour of hits at {segments} and {os} earned them, unless {judged} is 0: words are given by what came since, and given
-- anew, so none belongs to a moment of the past. Grain: hit with words. Columns: segment, o, flags.
SELECT toString(segment) AS segment, o, flags
FROM hit_flag FINAL
WHERE {judged:UInt8} AND has({segments:Array(String)}, toString(segment)) AND has({os:Array(UInt64)}, o)

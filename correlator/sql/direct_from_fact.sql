-- Conversions whose own keys lead to a click, with the best of them. Grain: conversion (fact_id). Columns: those of matching_direct.
-- Its own keys are its click ID, click IDs derived from its platform IDs, its visitor, and last, for want of anything better, keys that can
-- stand for many people (rank {shared_rank}).
-- best = (method's rank, click ID, hit as in reached_from_fact).
-- A click may lie {skew_ms} after its conversion (clocks differ) and as long before it as the type looks back.
SELECT fact_id, argMin((method_rank, click_id, hit), (method_rank, precedence, -toUnixTimestamp64Milli(hit.1), click_id)) AS best
FROM ({{reached}})
WHERE hit.1 <= ts + toIntervalMillisecond({skew_ms:Int64}) AND hit.1 >= ts - toIntervalMillisecond(lookback_ms)
GROUP BY fact_id

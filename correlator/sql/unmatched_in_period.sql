-- Conversions of a period that no click could be found for. Grain: conversion (fact_id). Columns: fact_id.
SELECT fact_id
FROM ({{matches}}) AS match
WHERE {{period}} AND method = 'none' AND status NOT IN ('rejected', 'duplicate') AND {{visible}}

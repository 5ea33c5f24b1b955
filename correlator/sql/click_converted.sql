-- Whether the last tick left any conversion with this click. Grain: conversion. Columns: fact_id.
SELECT fact_id FROM conversion_match FINAL WHERE click_id = unhex({click_id:String}) LIMIT 1

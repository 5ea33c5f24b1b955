-- Those of the uploads {fact_ids} of which the journal says that the platform has them or may have them. Grain: upload (fact_id).
SELECT DISTINCT fact_id
FROM upload
WHERE fact_id IN {fact_ids:Array(String)}
    AND (state IN ('sent', 'accepted') OR reason IN ('unanswered', 'interrupted', 'outcome_unknown'))

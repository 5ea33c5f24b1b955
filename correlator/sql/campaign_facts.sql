-- Campaigns as platform and people describe them, as known at {as_of}. Grain: campaign.
-- Columns: those of campaign_as_of, stated_in (currency of margin, target and a stated cost per click; '' = that of the campaign).
SELECT *
FROM campaign_as_of(as_of={as_of:Int64}) AS facts
LEFT JOIN campaign_stated_as_of(as_of={as_of:Int64}) AS stated USING (campaign)
WHERE {{visible_campaign}}

-- Campaigns as platform and people describe them, as known at {as_of}. Grain: campaign. Columns: those of campaign_as_of.
SELECT * FROM campaign_as_of(as_of={as_of:Int64}) WHERE {{visible_campaign}}

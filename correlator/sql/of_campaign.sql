-- What stands in the place of visible and visible_campaign for whoever may see every client: planning nobody's clients costs nothing.
-- A condition, not a query: the row belongs to {campaign} (empty = all).
({campaign:String} = '' OR campaign = {campaign:String})

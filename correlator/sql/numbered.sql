-- The rows of another query under the number of the {question} that needs them. Grain: that of {{found}}. Columns: question, {{columns}}.
SELECT {question:UInt64} AS question, {{columns}}
FROM ({{found}})

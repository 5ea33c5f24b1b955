-- What each model gives to each value of the dimension. Grain: (value, type, origin, currency, method). Columns: value, type, origin, currency,
-- method, confidence, credits (millionths of a conversion, by model in the order last click, first click, linear, time decay, position),
-- worths (micros, likewise), assisted (conversions that it had a click of, but not the last), assisted_worth (micros).
-- Exact: a conversion is 1,000,000 credits and its worth in micros, shared out in whole numbers by largest remainder, of equal remainders to the
-- click nearest to the conversion. So every model's sums are those of the conversions, however they are grouped.
-- Weights: linear 1 each; time decay 2^(-age / {half_life_ms}) in units of 2^-32 of the youngest's; position 40 % first, 40 % last, 20 % for those
-- between, in fifths of their number, and halves when there are none. Steps of other campaigns than {campaign_only} ('' = all) are left out at the end.
SELECT
    told[place] AS value,
    type,
    origin,
    currency,
    method,
    any(confidence) AS confidence,
    sumForEach(arrayMap(share -> share[place], credited)) AS credits,
    sumForEach(arrayMap(share -> share[place], paid)) AS worths,
    countIf(assists[place]) AS assisted,
    sumIf(worth, assists[place]) AS assisted_worth
FROM
(
    WITH
        length(told) AS steps,
        arrayEnumerate(told) AS places,
        [
            arrayMap(place -> toInt128(place = steps), places),
            arrayMap(place -> toInt128(place = 1), places),
            arrayMap(place -> toInt128(1), places),
            arrayMap(age -> toInt128(round(4294967296 * exp2((ages_ms[steps] - age) / {half_life_ms:Int64}))), ages_ms),
            arrayMap(place -> toInt128(if(place IN (1, steps), greatest(1, 2 * (toInt64(steps) - 2)), 1)), places)
        ] AS models,
        arrayConcat(models, models) AS weights,
        arrayMap(weight -> arrayReduce('sum', weight), weights) AS wholes,
        arrayMap(number -> if(number <= length(models), toInt128(1000000), toInt128(worth)), arrayEnumerate(weights)) AS amounts,
        arrayMap((amount, weight, whole) -> arrayMap(one -> intDiv(amount * one, whole), weight), amounts, weights, wholes) AS floors,
        arrayMap((amount, weight, whole) -> arrayMap(one -> (amount * one) % whole, weight), amounts, weights, wholes) AS rests,
        arrayMap((amount, parts) -> amount - arrayReduce('sum', parts), amounts, floors) AS lefts,
        arrayMap(rest -> arraySort(place -> (-rest[place], -toInt64(place)), places), rests) AS orders,
        arrayMap(line -> arraySort((place, who) -> who, places, line), orders) AS ranks,
        arrayMap((parts, rank, left) -> arrayMap((part, place) -> toInt64(part + (place <= left)), parts, rank), floors, ranks, lefts) AS shares,
        arrayMap((campaign, one) -> if({campaign_only:String} IN ('', campaign), concat('+', one), ''), campaigns, told) AS marks
    SELECT
        type,
        origin,
        currency,
        method,
        confidence,
        worth,
        told,
        marks,
        arraySlice(shares, 1, length(models)) AS credited,
        arraySlice(shares, length(models) + 1) AS paid,
        arrayMap((mark, place) -> mark != marks[steps] AND indexOf(marks, mark) = place, marks, places) AS assists
    FROM ({{paths}})
)
ARRAY JOIN arrayEnumerate(told) AS place
WHERE marks[place] != ''
GROUP BY value, type, origin, currency, method
ORDER BY value, type, origin, currency, method

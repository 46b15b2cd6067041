-- usage_variance: one row per venue, sold product and ingredient, deducted on the date or in the standard window
-- inputs: recipe_observed, product_cogs of one shift date
-- trailing: recipe_observed, product_cogs, ingredient_usage, daily_cogs of the standard window
with recipes_of_window as (
    select venue_id, product_id, ingredient_id, sum(quantity) as quantity
    from trailing_recipe_observed
    group by venue_id, product_id, ingredient_id
),

pairs as (
    select venue_id, product_id, ingredient_id
    from recipe_observed
    union
    select venue_id, product_id, ingredient_id
    from recipes_of_window
),

products_of_window as (
    select venue_id, product_id, sum(units_sold) as units_sold
    from trailing_product_cogs
    group by venue_id, product_id
    having sum(units_sold) > 0
),

ingredients_of_window as (
    select venue_id, product_id as ingredient_id, sum(quantity) as quantity, sum(total_cost) as total_cost
    from trailing_ingredient_usage
    group by venue_id, product_id
    having sum(quantity) > 0
),

days_of_window as (
    select venue_id, count(distinct shift_date) as standard_days
    from trailing_daily_cogs
    group by venue_id
),

-- Where there is no standard, its divisor is NULL, and so is all that depends on it.
measured as (
    select
        pairs.venue_id,
        pairs.product_id,
        pairs.ingredient_id,
        cast(product_cogs.units_sold as decimal(38, 6)) as units_sold,
        cast(coalesce(recipe_observed.quantity, 0) as decimal(38, 6)) as quantity,
        cast(coalesce(recipe_observed.total_cost, 0) as decimal(38, 6)) as cost,
        coalesce(days_of_window.standard_days, 0) as standard_days,
        cast(coalesce(recipes_of_window.quantity, 0) as decimal(38, 6)) as pair_quantity,
        products_of_window.units_sold as product_units,
        ingredients_of_window.quantity as ingredient_quantity,
        ingredients_of_window.total_cost as ingredient_cost,
    from pairs
    inner join product_cogs using (venue_id, product_id)
    left join recipe_observed using (venue_id, product_id, ingredient_id)
    left join recipes_of_window using (venue_id, product_id, ingredient_id)
    left join products_of_window using (venue_id, product_id)
    left join ingredients_of_window using (venue_id, ingredient_id)
    left join days_of_window using (venue_id)
),

-- Whole numbers of millionths: what follows is exact, or too large for 128 bits and an error.
counted as (
    select
        venue_id,
        product_id,
        ingredient_id,
        cast(units_sold * 1000000 as hugeint) as units_sold,
        cast(quantity * 1000000 as hugeint) as quantity,
        cast(cost * 1000000 as hugeint) as cost,
        cast(pair_quantity * 1000000 as hugeint) as pair_quantity,
        cast(product_units * 1000000 as hugeint) as product_units,
        cast(ingredient_quantity * 1000000 as hugeint) as ingredient_quantity,
        cast(ingredient_cost * 1000000 as hugeint) as ingredient_cost,
    from measured
),

-- price = (cost × W quantity − W cost × quantity) / W quantity
-- usage = W cost × (quantity × W units − pair's W quantity × units) / (W quantity × W units)
fractions as (
    select
        venue_id,
        product_id,
        ingredient_id,
        cost * ingredient_quantity - ingredient_cost * quantity as price,
        ingredient_quantity as price_divisor,
        ingredient_cost as factor,
        quantity * product_units - pair_quantity * units_sold as usage,
        ingredient_quantity * product_units as usage_divisor,
    from counted
),

divided as (
    select
        venue_id,
        product_id,
        ingredient_id,
        sign(price) as price_side,
        abs(price) // price_divisor as price_quotient,
        abs(price) % price_divisor as price_rest,
        price_divisor,
        abs(factor) as factor,
        sign(factor) * sign(usage) as usage_side,
        abs(usage) // usage_divisor as usage_quotient,
        abs(usage) % usage_divisor as usage_rest,
        usage_divisor,
    from fractions
),

-- factor × usage may take more than 128 bits, so the rest is divided as on paper, digit by digit of the factor.
multiplied as (
    select
        venue_id,
        product_id,
        ingredient_id,
        price_side,
        price_quotient,
        price_rest,
        price_divisor,
        usage_side,
        factor * usage_quotient as usage_whole,
        list_reduce(
            list_transform(
                string_split(cast(factor as varchar), ''),
                lambda digit: {'quotient': cast(digit as hugeint), 'rest': cast(0 as hugeint)}
            ),
            lambda done, digit: {
                'quotient': 10 * done.quotient + (10 * done.rest + digit.quotient * usage_rest) // usage_divisor,
                'rest': (10 * done.rest + digit.quotient * usage_rest) % usage_divisor,
            },
            {'quotient': cast(0 as hugeint), 'rest': cast(0 as hugeint)}
        ) as usage_part,
        usage_divisor,
    from divided
),

rounded as (
    select
        venue_id,
        product_id,
        ingredient_id,
        price_side * divided_half_even(price_quotient, price_rest, price_divisor) as price_millionths,
        usage_side * divided_half_even(usage_whole + usage_part.quotient, usage_part.rest, usage_divisor)
            as usage_millionths,
    from multiplied
),

variances as (
    select
        venue_id,
        product_id,
        ingredient_id,
        cast(cast(price_millionths as decimal(32, 0)) * 0.000001 as decimal(38, 6)) as price_variance,
        cast(cast(usage_millionths as decimal(32, 0)) * 0.000001 as decimal(38, 6)) as usage_variance,
    from rounded
)

select
    venue_id,
    product_id,
    ingredient_id,
    measured.units_sold,
    measured.quantity,
    measured.cost,
    measured.standard_days,
    measured.pair_quantity / measured.product_units as standard_quantity,
    measured.ingredient_cost / measured.ingredient_quantity as standard_cost,
    variances.price_variance,
    variances.usage_variance,
    variances.price_variance + variances.usage_variance as total_variance,
from measured
inner join variances using (venue_id, product_id, ingredient_id)

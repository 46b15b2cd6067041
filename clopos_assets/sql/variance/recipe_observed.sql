-- recipe_observed: one row per venue, sold product and ingredient deducted on the date
-- inputs: line_cogs, receipt_products, stock_operations of one shift date
-- trailing: recipe_observed of the standard window
with modified_lines as (
    select id
    from receipt_products
    where modificators[1] in ('[', '{') and modificators not in ('[]', '{}')
),

lines as (
    select
        line_cogs.receipt_product_id, line_cogs.receipt_id, line_cogs.venue_id, line_cogs.product_id,
        line_cogs.units_sold,
        modified_lines.id is not null as is_modified,
    from line_cogs
    left join modified_lines on modified_lines.id = line_cogs.receipt_product_id
),

-- Lines that may have deducted an ingredient more than once: each ingredient sets one bit of 64, and there are fewer
-- bits than operations. Of the other lines every operation stands alone, and nothing needs to be added up.
repeating_lines as (
    select receipt_product_id
    from stock_operations
    where receipt_product_id is not null
    group by receipt_product_id
    having count(*) > bit_count(bit_or(cast(1 as ubigint) << (product_id & 63)))
),

deductions as (
    select receipt_id, receipt_product_id, product_id as ingredient_id, quantity, total_cost, id as operation_id
    from stock_operations
    where receipt_product_id not in (select receipt_product_id from repeating_lines)
    union all
    select
        receipt_id,
        receipt_product_id,
        product_id as ingredient_id,
        cast(sum(quantity) as decimal(18, 6)) as quantity,
        cast(sum(total_cost) as decimal(18, 6)) as total_cost,
        max(id) as operation_id,
    from stock_operations
    where receipt_product_id in (select receipt_product_id from repeating_lines)
    group by receipt_id, receipt_product_id, product_id
),

-- Many lines share these figures, so that the exact division below is done few times.
portions as (
    select
        lines.venue_id,
        lines.product_id,
        deductions.ingredient_id,
        lines.is_modified,
        lines.units_sold,
        deductions.quantity,
        count(*) as lines,
        sum(deductions.total_cost) as total_cost,
        max(lines.receipt_product_id) as line_id,
        max(deductions.operation_id) as operation_id,
    from deductions
    inner join lines
        on lines.receipt_product_id = deductions.receipt_product_id
    where lines.receipt_id = deductions.receipt_id
    group by
        lines.venue_id, lines.product_id, deductions.ingredient_id, lines.is_modified, lines.units_sold,
        deductions.quantity
),

pairs as (
    select
        venue_id,
        product_id,
        ingredient_id,
        sum(lines * cast(quantity as decimal(38, 6))) as quantity,
        sum(total_cost) as total_cost,
        cast(coalesce(sum(lines) filter (where not is_modified), 0) as bigint) as lines,
        cast(coalesce(sum(lines) filter (where is_modified), 0) as bigint) as modified_lines,
        max(line_id) as line_id,
        max(operation_id) as operation_id,
    from portions
    group by venue_id, product_id, ingredient_id
),

-- Whole numbers of millionths, so that the quotient and what is left over are exact: of 64 bits where they suffice.
divided as (
    select
        venue_id,
        product_id,
        ingredient_id,
        lines,
        sign(quantity) * sign(units_sold) as side,
        abs(cast(cast(quantity as decimal(38, 6)) * 1000000 as bigint)) as millionths,
        abs(cast(cast(units_sold as decimal(38, 6)) * 1000000 as bigint)) as divisor,
        case
            when millionths < 9000000000000 then millionths * 1000000 // divisor
            else cast(millionths as hugeint) * 1000000 // divisor
        end as quotient,
        case
            when millionths < 9000000000000 then millionths * 1000000 % divisor
            else cast(millionths as hugeint) * 1000000 % divisor
        end as rest,
    from portions
    where not is_modified and units_sold <> 0
),

rounded as (
    select
        venue_id,
        product_id,
        ingredient_id,
        lines,
        side * divided_half_even(quotient, rest, divisor) as millionths,
    from divided
),

-- Where no decimal column holds the quotient, next to nothing was sold: that is no recipe.
frequencies as (
    select
        venue_id,
        product_id,
        ingredient_id,
        cast(cast(millionths as decimal(18, 0)) * cast(0.000001 as decimal(18, 6)) as decimal(18, 6))
            as quantity_per_unit,
        cast(sum(lines) as bigint) as lines,
    from rounded
    where abs(millionths) < 1000000000000000000
    group by venue_id, product_id, ingredient_id, millionths
),

modes as (
    select
        venue_id,
        product_id,
        ingredient_id,
        first(quantity_per_unit order by lines desc, quantity_per_unit) as quantity_per_unit,
        cast(sum(lines) - max(lines) as bigint) as deviating_lines,
    from frequencies
    group by venue_id, product_id, ingredient_id
),

previous as (
    select
        venue_id,
        product_id,
        ingredient_id,
        arg_max(quantity_per_unit, shift_date) as quantity_per_unit,
        min(quantity_per_unit) as least,
        max(quantity_per_unit) as greatest,
    from trailing_recipe_observed
    where quantity_per_unit is not null
    group by venue_id, product_id, ingredient_id
),

latest as (
    select
        venue_id,
        product_id,
        ingredient_id,
        coalesce(modes.quantity_per_unit, previous.quantity_per_unit) as quantity_per_unit,
        previous.quantity_per_unit as previous_quantity_per_unit,
        previous.least,
        previous.greatest,
    from pairs
    left join modes using (venue_id, product_id, ingredient_id)
    inner join previous using (venue_id, product_id, ingredient_id)
),

-- Few; of the others no day needs to be looked at.
changed as (
    select venue_id, product_id, ingredient_id, quantity_per_unit
    from latest
    where least <> quantity_per_unit or greatest <> quantity_per_unit
),

others as (
    select venue_id, product_id, ingredient_id, max(trailing_recipe_observed.shift_date) as shift_date
    from trailing_recipe_observed
    inner join changed using (venue_id, product_id, ingredient_id)
    where trailing_recipe_observed.quantity_per_unit <> changed.quantity_per_unit
    group by venue_id, product_id, ingredient_id
),

returns as (
    select venue_id, product_id, ingredient_id, min(trailing_recipe_observed.shift_date) as shift_date
    from trailing_recipe_observed
    inner join others using (venue_id, product_id, ingredient_id)
    where trailing_recipe_observed.shift_date > others.shift_date
        and trailing_recipe_observed.quantity_per_unit is not null
    group by venue_id, product_id, ingredient_id
),

-- The last change is the first date after the last one on which it was another.
changes as (
    select venue_id, product_id, ingredient_id, coalesce(returns.shift_date, $shift_date) as changed_on
    from others
    left join returns using (venue_id, product_id, ingredient_id)
),

sizes as (
    select
        venue_id,
        product_id,
        ingredient_id,
        abs(cast(modes.quantity_per_unit as decimal(38, 6))) as size,
        abs(cast(latest.previous_quantity_per_unit as decimal(38, 6))) as previous_size,
    from modes
    inner join latest using (venue_id, product_id, ingredient_id)
    where sign(modes.quantity_per_unit) * sign(latest.previous_quantity_per_unit) > 0
),

slips as (
    select venue_id, product_id, ingredient_id
    from sizes
    where
        size between previous_size * 900 and previous_size * 1100
        or previous_size between size * 900 and size * 1100
),

line_names as (
    select receipt_product_id, product_name
    from line_cogs
    where receipt_product_id in (select line_id from pairs)
),

ingredient_names as (
    select id, product_name
    from stock_operations
    where id in (select operation_id from pairs)
),

recipes as (
    select
        pairs.venue_id,
        pairs.product_id,
        pairs.ingredient_id,
        line_names.product_name,
        ingredient_names.product_name as ingredient_name,
        pairs.quantity,
        pairs.total_cost,
        pairs.lines,
        modes.quantity_per_unit,
        coalesce(modes.deviating_lines, 0) as deviating_lines,
        pairs.modified_lines,
        latest.previous_quantity_per_unit,
        changes.changed_on,
        slips.ingredient_id is not null as is_thousandfold,
    from pairs
    inner join line_names on line_names.receipt_product_id = pairs.line_id
    inner join ingredient_names on ingredient_names.id = pairs.operation_id
    left join modes using (venue_id, product_id, ingredient_id)
    left join latest using (venue_id, product_id, ingredient_id)
    left join changes using (venue_id, product_id, ingredient_id)
    left join slips using (venue_id, product_id, ingredient_id)
)

select
    venue_id,
    product_id,
    ingredient_id,
    product_name,
    ingredient_name,
    quantity,
    total_cost,
    lines,
    quantity_per_unit,
    deviating_lines,
    deviating_lines / nullif(lines, 0) as deviating_share,
    modified_lines,
    previous_quantity_per_unit,
    changed_on,
    is_thousandfold,
from recipes

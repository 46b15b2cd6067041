-- variance_findings: one row per thing that does not add up now
-- inputs: receipts, receipt_products, stock_operations, line_cogs, recipe_observed, stock_ledger of one shift date
-- trailing: recipe_observed, ingredient_usage of the standard window
--
-- One CTE per check, named after it, with the sentence that says it. NULL in a comparison is no finding. The last
-- steps round what is exact, write the figures into the sentences where {expected}, {actual}, {difference} and
-- {amount} stand, and take the difference for the amount at risk where a check on money gives none. A brace in a
-- name is written {} until then, so that no name holds any of these.
with closed_receipts as (
    select
        id, venue_id, total, remaining, subtotal, total_discount, service_charge_value, delivery_fee, e_tax,
        total_cost, closed_at,
        case
            when len(list_filter(payment_methods, lambda payment: payment.amount is null)) > 0 then null
            else coalesce(list_sum(list_transform(payment_methods, lambda payment: payment.amount)), 0)
        end as paid,
    from receipts
    where status = 2 and deleted_at is null
),

-- standard_cost is total_cost / quantity; undivided it stays exact.
standards as (
    select venue_id, product_id, sum(quantity) as quantity, sum(total_cost) as total_cost
    from trailing_ingredient_usage
    group by venue_id, product_id
    having sum(quantity) > 0
),

-- All checks of single operations in one pass: what is well, which is nearly all, goes no further.
odd_operations as (
    select
        stock_operations.id, stock_operations.receipt_id, stock_operations.receipt_product_id,
        closed_receipts.venue_id, stock_operations.stock_id, stock_operations.product_id,
        coalesce(replace(stock_operations.product_name, '{', '{}'), 'Product ' || stock_operations.product_id)
            || coalesce(' in ' || replace(stock_operations.storage_name, '{', '{}'), '') as subject,
        cast(stock_operations.quantity as decimal(38, 6)) as quantity,
        cast(stock_operations.cost as decimal(38, 6)) as cost,
        before_quantity, after_quantity, stock_operations.total_cost, operated_at,
        standards.quantity as standard_quantity,
        standards.total_cost as standard_total,
        abs(after_quantity - (before_quantity - stock_operations.quantity)) > $quantity_tolerance as is_off_quantity,
        2 * abs(
            stock_operations.total_cost
            - cast(stock_operations.quantity as decimal(38, 6)) * cast(stock_operations.cost as decimal(38, 6))
        ) > greatest(2 * $money_tolerance, abs(cast(stock_operations.quantity as decimal(38, 6))) * $cost_unit)
            as is_off_cost,
        receipt_products.id is null as is_without_line,
        stock_operations.quantity <> 0 and stock_operations.total_cost = 0 as is_free,
        after_quantity < -$quantity_tolerance as is_below_zero,
        4 * abs(cast(stock_operations.cost as decimal(38, 6)) * standards.quantity - standards.total_cost)
            > abs(standards.total_cost) as is_off_standard,
    from stock_operations
    inner join closed_receipts on closed_receipts.id = stock_operations.receipt_id
    left join receipt_products
        on receipt_products.id = stock_operations.receipt_product_id
        and receipt_products.receipt_id = stock_operations.receipt_id
    left join standards
        on standards.venue_id = closed_receipts.venue_id
        and standards.product_id = stock_operations.product_id
    where is_off_quantity or is_off_cost or is_without_line or is_free or is_below_zero or is_off_standard
),

-- Standards in whole 10^-12ths, `rest` being what the division leaves.
divided_operations as (
    select
        id,
        cast(quantity * 1000000 as hugeint) as millionths,
        cast(standard_quantity * 1000000 as hugeint) as divisor,
        cast(standard_total * 1000000 as hugeint) * 1000000 // divisor as standard_millionths,
        cast(standard_total * 1000000 as hugeint) * 1000000 % divisor as rest,
        cast(standard_total * 1000000 as hugeint) * 1000000000000 // divisor as standard,
        cast(standard_total * 1000000 as hugeint) * 1000000000000 % divisor as standard_rest,
    from odd_operations
    where standard_quantity is not null and (is_free or is_off_standard)
),

-- A 5 in the thirteenth place stands for all that is left over, so that only a tie looks like a tie.
standard_figures as (
    select
        id,
        cast(10 * standard + 5 * sign(standard_rest) as decimal(38, 0)) * 0.0000000000001 as standard_cost,
        cast(
            10 * (millionths * standard_millionths + millionths * rest // divisor)
            + 5 * sign(millionths * rest % divisor) as decimal(38, 0)
        ) * 0.0000000000001 as standard_value,
    from divided_operations
),

worded_operations as (
    select
        odd_operations.id as stock_operation_id,
        receipt_id, receipt_product_id, venue_id, stock_id, product_id, subject,
        quantity, before_quantity, after_quantity, cost, total_cost,
        standard_cost, standard_value,
        is_off_quantity, is_off_cost, is_without_line, is_free, is_below_zero, is_off_standard,
        quantity_in_words(quantity) as quantity_text,
        quantity_in_words(before_quantity) as before_text,
        money_in_words(cost) as cost_text,
        money_in_words(total_cost) as total_cost_text,
        strftime(operated_at, '%Y-%m-%d %H:%M') as operated_text,
    from odd_operations
    left join standard_figures on standard_figures.id = odd_operations.id
),

worded_lines as (
    select
        receipt_id, receipt_product_id, venue_id, product_id, is_gift, is_return, deductions, units_sold,
        net_sales, cogs,
        coalesce(replace(product_name, '{', '{}'), 'Product ' || product_id) || ' on receipt ' || receipt_id as subject,
        quantity_in_words(units_sold) as units_text,
        money_in_words(net_sales) as net_sales_text,
    from line_cogs
    where (deductions = 0 and units_sold <> 0) or cogs > net_sales
),

payments_match_total as (
    select
        'payments_match_total' as check_name, 'WARN' as severity,
        venue_id, id as receipt_id,
        total - remaining as expected,
        paid as actual,
        true as is_money,
        'Receipt ' || id || ' was paid {actual} but '
            || case
                when remaining = 0 then 'its total is {expected}'
                when remaining = total then 'nothing of its total was due'
                else '{expected} of its total was due'
            end
            || ': {difference} is ' || case when paid < total - remaining then 'missing.' else 'too much.' end
            as sentence,
    from closed_receipts
    where abs(paid - (total - remaining)) > $money_tolerance
),

receipt_adds_up as (
    select
        'receipt_adds_up' as check_name,
        venue_id, id as receipt_id,
        subtotal - total_discount + service_charge_value + delivery_fee + e_tax as expected,
        total as actual,
    from closed_receipts
),

net_sales as (
    select receipt_id, sum(net_sales) as net_sales
    from line_cogs
    group by receipt_id
),

lines_add_up as (
    select
        'lines_add_up' as check_name,
        closed_receipts.venue_id,
        closed_receipts.id as receipt_id,
        closed_receipts.subtotal - closed_receipts.total_discount as expected,
        net_sales.net_sales as actual,
    from closed_receipts
    inner join net_sales on net_sales.receipt_id = closed_receipts.id
),

formulas as (
    from receipt_adds_up
    union all by name from lines_add_up
),

formula_fit as (
    select
        check_name,
        venue_id,
        count(*) as receipts,
        count(*) filter (where abs(actual - expected) > $money_tolerance) as misfits,
    from formulas
    group by check_name, venue_id
),

formulas_off_at_a_receipt as (
    select
        check_name, 'INFO' as severity,
        venue_id, receipt_id,
        expected, actual,
        true as is_money,
        case check_name
            when 'receipt_adds_up' then 'Receipt ' || receipt_id || ' has a total of {actual}, but its subtotal '
                || 'less discounts plus service charge, delivery and added tax is {expected}: {difference} too '
            else 'The lines of receipt ' || receipt_id || ' add up to {actual}, but its subtotal less discounts '
                || 'is {expected}: {difference} too '
        end || case when actual < expected then 'little.' else 'much.' end as sentence,
    from formulas
    inner join formula_fit using (check_name, venue_id)
    where abs(actual - expected) > $money_tolerance and 5 * misfits <= receipts
),

formulas_that_do_not_fit as (
    select
        check_name, 'INFO' as severity,
        venue_id,
        'This formula does not fit this brand: at ' || misfits || ' of ' || receipts || ' receipts '
            || case check_name when 'lines_add_up' then 'with lines ' else '' end
            || 'of venue ' || venue_id || case check_name
                when 'receipt_adds_up' then ' the total is not the subtotal less discounts plus service charge, '
                    || 'delivery and added tax.'
                else ' the lines do not add up to the subtotal less discounts.'
            end as sentence,
    from formula_fit
    where 5 * misfits > receipts
),

quantity_adds_up as (
    select
        'quantity_adds_up' as check_name, 'ERROR' as severity,
        venue_id, receipt_id, receipt_product_id, stock_operation_id, stock_id, product_id,
        before_quantity - quantity as expected,
        after_quantity as actual,
        cast(abs((after_quantity - (before_quantity - quantity)) * cost) as decimal(38, 13)) as exact_amount,
        false as is_money,
        subject || ' for receipt ' || receipt_id || ': ' || before_text || ' in stock less ' || quantity_text
            || ' deducted leaves {expected}, but the stock after it is {actual}: {difference} is '
            || case when after_quantity < before_quantity - quantity then 'missing.' else 'too much.' end as sentence,
    from worded_operations
    where is_off_quantity
),

cost_adds_up as (
    select
        'cost_adds_up' as check_name, 'ERROR' as severity,
        venue_id, receipt_id, receipt_product_id, stock_operation_id, stock_id, product_id,
        cast(quantity * cost as decimal(38, 13)) as exact_expected,
        total_cost as actual,
        true as is_money,
        subject || ' for receipt ' || receipt_id || ': ' || quantity_text || ' at ' || cost_text
            || ' costs {expected}, but {actual} was booked: {difference} too '
            || case when total_cost < quantity * cost then 'little.' else 'much.' end as sentence,
    from worded_operations
    where is_off_cost
),

operation_has_line as (
    select
        'operation_has_line' as check_name, 'ERROR' as severity,
        venue_id, receipt_id, receipt_product_id, stock_operation_id, stock_id, product_id,
        abs(total_cost) as amount_at_risk,
        case
            when quantity < 0
            then ltrim(quantity_text, '-') || ' of ' || subject || ', worth ' || ltrim(total_cost_text, '-')
                || ', was put back'
            else quantity_text || ' of ' || subject || ', worth ' || total_cost_text || ', was deducted'
        end || ' for receipt ' || receipt_id || ' but for none of its lines.' as sentence,
    from worded_operations
    where is_without_line
),

products_deducted as (
    select venue_id, product_id
    from recipe_observed
    union
    select venue_id, product_id
    from trailing_recipe_observed
),

line_has_deduction as (
    select
        'line_has_deduction' as check_name, 'WARN' as severity,
        venue_id, receipt_id, receipt_product_id, product_id,
        1 as expected,
        0 as actual,
        abs(net_sales) as amount_at_risk,
        false as is_money,
        subject || ' (' || units_text || ' for ' || net_sales_text || ') took nothing out of stock, though other '
            || 'sales of this product did.' as sentence,
    from worded_lines
    inner join products_deducted using (venue_id, product_id)
    where deductions = 0 and units_sold <> 0
),

deduction_has_cost as (
    select
        'deduction_has_cost' as check_name, 'WARN' as severity,
        venue_id, receipt_id, receipt_product_id, stock_operation_id, stock_id, product_id,
        abs(standard_value) as exact_amount,
        true as is_money,
        ltrim(quantity_text, '-') || ' of ' || subject
            || case when quantity < 0 then ' was put back' else ' was deducted' end
            || ' for receipt ' || receipt_id || ' at no cost'
            || case when standard_value is null then '.' else '; at its recent cost it is worth {amount}.' end
            as sentence,
    from worded_operations
    where is_free
),

stock_is_not_negative as (
    select
        'stock_is_not_negative' as check_name, 'WARN' as severity,
        venue_id, receipt_id, receipt_product_id, stock_operation_id, stock_id, product_id,
        0 as expected,
        after_quantity as actual,
        cast(abs(after_quantity * cost) as decimal(38, 13)) as exact_amount,
        false as is_money,
        subject || ' stood at {actual} in stock after receipt ' || receipt_id || ' on ' || operated_text
            || ': more was sold than the books held.' as sentence,
    from worded_operations
    where is_below_zero
),

cost_is_steady as (
    select
        'cost_is_steady' as check_name, 'WARN' as severity,
        venue_id, receipt_id, receipt_product_id, stock_operation_id, stock_id, product_id,
        standard_cost as exact_expected,
        cost as actual,
        abs(cast(quantity * cost as decimal(38, 13)) - standard_value) as exact_amount,
        true as is_money,
        subject || ' for receipt ' || receipt_id || ' cost {actual} a unit, more than 25 % '
            || case when cost < standard_cost then 'below' else 'above' end || ' its recent {expected}.' as sentence,
    from worded_operations
    where is_off_standard
),

gaps as (
    select
        stock_operation_id, receipt_id, venue_id, stock_id, product_id, product_name, quantity, before_quantity,
        previous_after_quantity, unexplained_value, operated_at,
    from stock_ledger
    where abs(before_quantity - previous_after_quantity) > $quantity_tolerance
),

operations_of_gaps as (
    select id, receipt_product_id, storage_name
    from stock_operations
    where id in (select stock_operation_id from gaps)
),

stock_is_continuous as (
    select
        'stock_is_continuous' as check_name, 'INFO' as severity,
        gaps.venue_id, gaps.receipt_id, operations_of_gaps.receipt_product_id, gaps.stock_operation_id, gaps.stock_id,
        gaps.product_id,
        gaps.previous_after_quantity as expected,
        gaps.before_quantity as actual,
        abs(gaps.unexplained_value) as amount_at_risk,
        false as is_money,
        coalesce(replace(gaps.product_name, '{', '{}'), 'Product ' || gaps.product_id)
            || coalesce(' in ' || replace(operations_of_gaps.storage_name, '{', '{}'), '')
            || ' stood at {expected} in stock after the sale before and at {actual} when receipt ' || gaps.receipt_id
            || case when gaps.quantity < 0 then ' put some back on ' else ' took some on ' end
            || strftime(gaps.operated_at, '%Y-%m-%d %H:%M')
            || ': {difference} ' || case when actual < expected then 'went out' else 'came in' end
            || ' that no sale explains.' as sentence,
    from gaps
    left join operations_of_gaps on operations_of_gaps.id = gaps.stock_operation_id
),

sold_above_cost as (
    select
        'sold_above_cost' as check_name, 'WARN' as severity,
        venue_id, receipt_id, receipt_product_id, product_id,
        net_sales as expected,
        cogs as actual,
        true as is_money,
        subject || ' was sold for {expected} but cost {actual}: a loss of {difference}.' as sentence,
    from worded_lines
    where not is_gift and not is_return and net_sales > 0 and cogs - net_sales > $money_tolerance
),

closed_within_shift as (
    select
        'closed_within_shift' as check_name, 'INFO' as severity,
        venue_id, id as receipt_id,
        abs(total) as amount_at_risk,
        'Receipt ' || id || ' was closed on ' || strftime(closed_at, '%Y-%m-%d %H:%M')
            || ', after its shift had ended on ' || strftime($shift_ended_at, '%Y-%m-%d %H:%M') || '.' as sentence,
    from closed_receipts
    where closed_at >= $shift_ended_at
),

receipt_is_closed as (
    select
        'receipt_is_closed' as check_name, 'WARN' as severity,
        venue_id, id as receipt_id,
        abs(total) as amount_at_risk,
        'Receipt ' || id || ', opened on ' || strftime(created_at, '%Y-%m-%d %H:%M')
            || case status when 1 then ', is still open with' else ', has status ' || status || ' and' end
            || ' a total of ' || money_in_words(total)
            || '.' as sentence,
    from receipts
    where status <> 2 and deleted_at is null
),

costs_deducted as (
    select closed_receipts.id as receipt_id, sum(stock_operations.total_cost) as total_cost
    from stock_operations
    inner join closed_receipts on closed_receipts.id = stock_operations.receipt_id
    where closed_receipts.total_cost <> 0
    group by closed_receipts.id
),

reported_cost_matches as (
    select
        'reported_cost_matches' as check_name, 'WARN' as severity,
        venue_id, id as receipt_id,
        closed_receipts.total_cost as expected,
        coalesce(costs_deducted.total_cost, 0) as actual,
        true as is_money,
        'Receipt ' || id || ' reports a cost of {expected}, but its deductions cost {actual}: {difference} '
            || case when actual < expected then 'less.' else 'more.' end as sentence,
    from closed_receipts
    left join costs_deducted on costs_deducted.receipt_id = closed_receipts.id
    where closed_receipts.total_cost <> 0
        and abs(coalesce(costs_deducted.total_cost, 0) - closed_receipts.total_cost) > $money_tolerance
),

findings as (
    from payments_match_total
    union all by name from formulas_off_at_a_receipt
    union all by name from formulas_that_do_not_fit
    union all by name from quantity_adds_up
    union all by name from cost_adds_up
    union all by name from operation_has_line
    union all by name from line_has_deduction
    union all by name from deduction_has_cost
    union all by name from stock_is_not_negative
    union all by name from stock_is_continuous
    union all by name from cost_is_steady
    union all by name from sold_above_cost
    union all by name from closed_within_shift
    union all by name from receipt_is_closed
    union all by name from reported_cost_matches
),

-- Exact figures have one type of their own: a union of DECIMALs keeps the digits before the point, and rounds.
rounded_findings as (
    select
        check_name, severity, venue_id, receipt_id, receipt_product_id, stock_operation_id, stock_id, product_id,
        is_money, sentence,
        coalesce(round_half_even(exact_expected), expected) as expected,
        cast(actual as decimal(38, 6)) as actual,
        coalesce(round_half_even(exact_amount), amount_at_risk) as amount,
    from findings
),

-- The entity is the narrowest thing the finding is about: nothing in the hash changes while the finding stands.
named_findings as (
    select
        check_name, severity, venue_id, receipt_id, receipt_product_id, stock_operation_id, stock_id, product_id,
        expected,
        actual,
        actual - expected as difference,
        coalesce(amount, case when is_money then abs(difference) end) as amount_at_risk,
        coalesce(
            'operation ' || stock_operation_id,
            'line ' || receipt_product_id,
            'receipt ' || receipt_id,
            'venue ' || venue_id || ' on ' || $shift_date
        ) as entity,
        is_money, sentence,
    from rounded_findings
),

-- An alias is worked out wherever it stands, so that what is used more than once has a step of its own.
figured_findings as (
    select
        *,
        list_transform(
            [expected, actual, abs(difference), amount_at_risk],
            lambda figure: coalesce(
                case when is_money then money_in_words(figure) else quantity_in_words(figure) end, ''
            )
        ) as words,
    from named_findings
),

worded_findings as (
    select
        *,
        md5(check_name || ' of ' || entity) as finding_id,
        replace(replace(sentence, '{expected}', words[1]), '{actual}', words[2]) as half_said,
        replace(replace(half_said, '{difference}', words[3]), '{amount}', words[4]) as said,
        replace(said, '{}', '{') as message,
    from figured_findings
)

select
    finding_id,
    check_name,
    severity,
    venue_id,
    receipt_id,
    receipt_product_id,
    stock_operation_id,
    stock_id,
    product_id,
    expected,
    actual,
    difference,
    amount_at_risk,
    message,
from worded_findings

-- A batch that the contract of today would hold is in the state already: nothing is taken away from readers for that.
{{ config(severity='error') }}
select * from {{ ref('plan_held') }} where is_leaving

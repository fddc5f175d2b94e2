"""Lints the campaigns (专项行动) of a pack: their days, and the categories and grids to which they go."""

from workflows.policy.lint.context import LintContext, one_of

CAMPAIGNS = "campaigns.csv"


def lint_campaigns(context: LintContext) -> None:
    """Each ends after it begins, goes to categories and grids that there are, and says where it comes from."""
    known = {*context.categories, *(category.group for category in context.pack.categories)}
    for index, campaign in enumerate(context.pack.campaigns):
        if campaign.valid_to and campaign.valid_to < campaign.valid_from:
            text = f"{campaign.code!r} ends before it begins"
            context.error(CAMPAIGNS, index, "until", text, "write the last day of the campaign, or leave it empty")
        for code in campaign.categories:
            if code not in known:
                text = f"{campaign.code!r}: {code!r} is no category, and no group of categories"
                context.error(CAMPAIGNS, index, "categories", text, "use codes and groups of categories.csv")
        for code in campaign.grids:
            if code not in context.grids:
                text = f"{campaign.code!r}: there is no grid {code!r}"
                context.error(CAMPAIGNS, index, "grids", text, one_of(set(context.grids)))
        if not campaign.basis:
            remedy = "say where the campaign comes from, or write: ours"
            context.warning(CAMPAIGNS, index, "basis", "does not say where the campaign comes from", remedy)

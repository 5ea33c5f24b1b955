import crawleruseragents
import pytest

from core.crawlers import PEOPLES_APPS, crawlers
from core.user_agents import describe

ANDROID = "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UQ1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0 Mobile Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"


@pytest.mark.parametrize(
    "app",
    [
        f"{ANDROID} MetaIAB Facebook",
        f"{ANDROID} [FB_IAB/FB4A;FBAV/466.0.0.40.109;]",
        f"{IPHONE} [FBAN/FBIOS;FBAV/465.0.0.34.101;]",
        f"{IPHONE} Instagram 335.0.0.25.93",
        f"{IPHONE} musical_ly_35.0.0 JsSdk/2.0",
        f"{ANDROID} Viber/22.5",
    ],
)
def test_people_in_an_in_app_browser_are_no_robots(app: str) -> None:
    found = describe(app)
    assert (found.bot, found.device) == (False, "mobile")


@pytest.mark.parametrize(
    "robot",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "python-requests/2.32",
    ],
)
def test_crawlers_are_robots(robot: str) -> None:
    assert describe(robot).device == "bot"


def test_a_user_agent_of_broken_characters_is_described_all_the_same() -> None:
    assert describe("\udcff\x00 Googlebot/2.1").bot


def test_the_entries_left_out_are_still_on_the_list() -> None:
    assert {entry["pattern"] for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA} >= PEOPLES_APPS
    assert crawlers().search(b"Viber") is None

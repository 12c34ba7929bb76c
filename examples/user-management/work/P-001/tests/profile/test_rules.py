"""What a field of a profile may hold."""

from __future__ import annotations

import unittest

from contracts.types.errors import InvalidProfileError
from contracts.types.profile import Profile
from contracts.types.user import UserId
from src.profile.rules import checked

ADA = Profile(user_id=UserId("ada"), display_name="Ada")


class ProfileRules(unittest.TestCase):
    """`checked` on good and bad profiles."""

    def test_texts_are_stripped(self) -> None:
        profile = checked(
            Profile(user_id=ADA.user_id, display_name=" Ada ", bio="\n", website=" https://example.org ")
        )
        self.assertEqual(
            Profile(user_id=ADA.user_id, display_name="Ada", website="https://example.org"), profile
        )

    def test_a_good_profile_stays_as_it_is(self) -> None:
        for website in ("", "http://example.org", "https://example.org:8443/ada?x=1#top"):
            profile = Profile(user_id=ADA.user_id, display_name="李小龍", bio="two\nlines", website=website)
            with self.subTest(website=website):
                self.assertEqual(profile, checked(profile))

    def test_the_message_names_the_field(self) -> None:
        with self.assertRaisesRegex(InvalidProfileError, "name"):
            checked(Profile(user_id=ADA.user_id, display_name="\x1b[31mred"))
        with self.assertRaisesRegex(InvalidProfileError, "bio"):
            checked(Profile(user_id=ADA.user_id, display_name="Ada", bio="x" * 281))
        with self.assertRaisesRegex(InvalidProfileError, "web address"):
            checked(Profile(user_id=ADA.user_id, display_name="Ada", website="ftp://example.org"))

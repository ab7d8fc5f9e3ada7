"""The bag inside an archive (RFC 8493, FORMAT.md): written, read strictly, or read extracted."""

from agebackup.snapshot.archive import Member as Member
from agebackup.snapshot.bag_contents import BagContents as BagContents
from agebackup.snapshot.bag_contents import Receiver as Receiver
from agebackup.snapshot.bag_reader import read_bag as read_bag
from agebackup.snapshot.bag_writer import BagTotals as BagTotals
from agebackup.snapshot.bag_writer import BagWriter as BagWriter
from agebackup.snapshot.extracted import read_extracted as read_extracted
from agebackup.snapshot.tar_writer import SMALL as SMALL
from agebackup.snapshot.tar_writer import FileChangedError as FileChangedError
from agebackup.snapshot.tar_writer import FileRecord as FileRecord

"""Names that people have, by the region they come from."""

from typing import Final

import msgspec


class Region(msgspec.Struct, frozen=True):
    """Where people come from: their names, and the language they like to be written to in."""

    women: tuple[str, ...]
    men: tuple[str, ...]
    surnames: tuple[str, ...]
    language: str = "en"


def _region(women: str, men: str, surnames: str, language: str = "en") -> Region:
    return Region(tuple(women.split()), tuple(men.split()), tuple(surnames.split()), language)


_HINDI: Final = _region(
    "Anjali Deepika Garima Kiran Madhuri Neelam Pallavi Rashmi Sangeeta Shweta Swati Tanvi Vandana Archana Jyoti Nisha",
    "Abhishek Ajay Ashok Deepak Gaurav Manish Mohit Nitin Pankaj Rakesh Sandeep Sanjeev Sumit Vikas Vivek Alok",
    "Agarwal Awasthi Bajpai Bansal Chaturvedi Dubey Dwivedi Goel Gupta Jain Mathur Mishra Pandey Rastogi Saxena "
    "Shukla Singhal Srivastava Tiwari Trivedi Varma Yadav",
    "hi",
)
_PUNJABI: Final = _region(
    "Amrita Gurleen Harleen Jasmeet Kirandeep Manpreet Navneet Parneet Rupinder Simrat Sukhmani Tarleen",
    "Amarjit Daljit Gurbir Harpreet Inderjit Jagdeep Karanbir Lakhbir Navjot Ranbir Satinder Tejinder",
    "Ahluwalia Arora Bedi Bhatia Chadha Dhillon Gill Grewal Khanna Khurana Malhotra Oberoi Sandhu Sethi Sidhu Sodhi",
    "pa",
)
_GUJARATI: Final = _region(
    "Bhavna Chetna Darshana Falguni Hetal Jagruti Kinjal Minal Nikita Parul Riddhi Urvashi",
    "Bhavesh Chirag Dhaval Hardik Jignesh Ketan Mehul Nilesh Paresh Rajan Tejas Vipul",
    "Amin Bhatt Choksi Dalal Desai Doshi Gandhi Jhaveri Kothari Mehta Modi Parekh Patel Shah Sheth Thakkar Vora Zaveri",
    "gu",
)
_MARATHI: Final = _region(
    "Aditi Ashwini Gauri Ketaki Manasi Mrunal Mugdha Prajakta Radhika Rucha Sayali Vaishali",
    "Aniket Chinmay Girish Kedar Mandar Milind Ninad Omkar Prasad Sachin Shantanu Yogesh",
    "Apte Bapat Bhide Chavan Deshmukh Deshpande Gadgil Gokhale Jadhav Joshi Kelkar Kulkarni Limaye More Patil Phadke "
    "Ranade Sathe Shinde Tambe",
    "mr",
)
_TAMIL: Final = _region(
    "Abirami Anuradha Bhuvana Gayathri Janani Kalpana Lakshmi Meenakshi Nithya Padma Revathi Vidya",
    "Arvind Balaji Ganesh Hariharan Karthik Madhavan Murali Prakash Raghavan Senthil Suresh Venkat",
    "Chandrasekaran Ganesan Iyengar Iyer Krishnan Mahadevan Natarajan Palaniappan Raman Ramanathan Sivakumar "
    "Subramaniam Sundaram Venkatesan",
    "ta",
)
_TELUGU: Final = _region(
    "Anusha Aparna Bhargavi Harika Keerthi Lavanya Mounika Pranathi Sirisha Sravani Sushma Swapna",
    "Aditya Bharat Chaitanya Kalyan Kiran Naveen Pavan Praneeth Rohit Srikanth Tarun Vamsi",
    "Bandaru Chalasani Gadde Kakarla Kommineni Konda Maddali Nalluri Pothuri Rao Reddy Tadepalli Vemuri Yarlagadda",
    "te",
)
_MALAYALI: Final = _region(
    "Anitha Asha Beena Deepa Indu Jaya Latha Maya Reshma Sindhu Sreeja Usha",
    "Ajith Anoop Biju Dileep George Jacob Manoj Rajeev Sabu Sunil Thomas Vinod",
    "Cherian Kurian Kurup Mathew Menon Nair Nambiar Panicker Pillai Thomas Varghese Warrier",
    "ml",
)
_BENGALI: Final = _region(
    "Ananya Barnali Debjani Ishita Moumita Paramita Payel Rituparna Sharmila Sohini Sreemoyee Sudeshna",
    "Abhijit Anirban Arindam Debashis Dipankar Indranil Kaushik Partha Sourav Subhash Sujoy Tanmoy",
    "Banerjee Basu Bhattacharya Bose Chakraborty Chatterjee Das Dutta Ganguly Ghosh Mitra Mukherjee Roy Sarkar Sen",
    "bn",
)
_PARSI: Final = _region(
    "Dilnaz Farah Jeroo Kashmira Mahrukh Perin Roshan Shernaz Tina Zarin",
    "Adi Cyrus Darius Homi Jamshed Kaizad Noshir Percy Rustom Sohrab",
    "Bharucha Contractor Daruwala Engineer Irani Kapadia Mistry Palkhivala Readymoney Vakil Wadia",
)
_MUSLIM: Final = _region(
    "Afreen Amina Ayesha Farida Heena Nazia Rubina Saba Sana Shabana Yasmin Zoya",
    "Adil Arif Asif Faisal Imran Irfan Javed Kabir Nadeem Rashid Salim Zubair",
    "Ahmed Ansari Baig Hussain Kazi Khan Lakdawala Merchant Mirza Qureshi Sayed Shaikh Siddiqui",
    "ur",
)
_GOAN: Final = _region(
    "Anita Bianca Carol Delia Fiona Joanna Lorraine Melissa Rosária Zoë",
    "Agnelo Brian Clyde Denzil Edwin Glenn Ivan José Melvyn Savio",
    "Almeida Coutinho D'Costa D'Mello D'Souza Dias Fernandes Gomes Lobo Menezes Pereira Pinto Rodrigues",
)
_CHINESE: Final = _region(
    "Hui-Min Jia-Xin Kai-Ling Li-Hua Mei-Ying Pei-Shan Shu-Fen Siew-Lan Wan-Ting Xin-Yi Yu-Ting Zi-Qi",
    "Boon-Kiat Chee-Keong Chun-Wei Guan-Hao Jun-Jie Kah-Wai Kok-Leong Ming-De Teck-Soon Wei-Jie Yong-Sheng Zhi-Hao",
    "Chan Chen Cheng Chia Goh Ho Koh Lee Lim Low Ng Ong Quek Seah Tan Teo Wong Yeo",
    "zh",
)
_BRITISH: Final = _region(
    "Alice Beatrice Charlotte Eleanor Emma Florence Georgina Harriet Imogen Lucy Matilda Sophie",
    "Adrian Benjamin Christopher Daniel Edward George Henry James Oliver Peter Thomas William",
    "Ashworth Bennett Carter Davies Ellis Fletcher Graham Harrison Hughes Jenkins Marshall Palmer Reid Shaw Turner "
    "Walker Whitfield Wright",
)
_AMERICAN: Final = _region(
    "Abigail Brooke Caroline Emily Grace Hannah Jennifer Lauren Megan Natalie Rachel Samantha",
    "Andrew Brandon Charles Ethan Jason Kevin Matthew Michael Nathan Patrick Robert Steven",
    "Anderson Brooks Campbell Collins Cooper Foster Hayes Jackson Miller Morgan Parker Peterson Sullivan Thompson",
)
_GERMAN: Final = _region(
    "Annika Claudia Franziska Heike Jana Katharina Lena Monika Sabine Silke Ulrike Zoë",
    "Andreas Bernd Dieter Florian Jürgen Klaus Lukas Matthias Rainer Stefan Thorsten Uwe",
    "Bauer Becker Braun Fischer Groß Hoffmann Keller Köhler Krüger Müller Schäfer Schmidt Schröder Vogel Weiß",
    "de",
)
_FRENCH: Final = _region(
    "Amélie Camille Chloé Élodie Hélène Inès Juliette Léa Margaux Océane",
    "Antoine Benoît Étienne François Guillaume Jérôme Mathieu Nicolas Olivier Rémi",
    "Beaumont Bernard Chevalier Dubois Fontaine Garnier Laurent Lefèvre Moreau Perrin Rousseau Vidal",
    "fr",
)

WEST: Final = (_GUJARATI, _MARATHI, _GUJARATI, _PARSI, _GOAN, _HINDI, _MUSLIM, _TAMIL, _MALAYALI)
SUBURBS: Final = (_MARATHI, _GUJARATI, _TAMIL, _TELUGU, _MALAYALI, _MUSLIM, _GOAN, _HINDI, _BENGALI)
NORTH: Final = (_HINDI, _PUNJABI, _HINDI, _BENGALI, _MUSLIM, _TELUGU, _PUNJABI)
ASIA: Final = (_CHINESE, _TAMIL, _CHINESE, _GUJARATI, _MALAYALI, _AMERICAN)
EUROPE: Final = (_BRITISH, _GERMAN, _BRITISH, _PUNJABI, _GUJARATI, _FRENCH, _AMERICAN)

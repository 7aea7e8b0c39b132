-- Word lists, and the functions that pick from them: the same number always gives the same word.
CREATE TEMPORARY TABLE seed_words ON COMMIT DROP AS SELECT
    string_to_array('ancient,antique,autumn,bold,bright,broad,brushed,calm,carved,checked,classic,coastal,compact,cosy,crisp,curved,dainty,deluxe,double,elegant,everyday,faded,fancy,festive,fine,floral,folding,fresh,frosted,gentle,giant,glazed,glossy,grand,handmade,hanging,heavy,hooded,knitted,large,light,little,long,lucky,magic,matt,mellow,mini,modern,natural,nordic,oval,padded,painted,pastel,plain,pleated,pocket,polished,portable,printed,quiet,quilted,ribbed,round,rustic,scented,short,silent,simple,single,slim,small,smart,smooth,soft,solid,spotted,square,stackable,striped,sturdy,summer,sunny,tall,tiny,traditional,travel,twisted,vintage,warm,washed,waterproof,waxed,weathered,wild,winter,woven', ',') AS qualities,
    string_to_array('amber,apricot,aqua,beige,black,blue,bronze,brown,charcoal,cherry,cobalt,copper,coral,cream,crimson,emerald,forest,gold,graphite,green,grey,indigo,ivory,jade,lavender,lemon,lilac,lime,magenta,maroon,mint,mustard,navy,ochre,olive,orange,peach,pearl,pink,plum,purple,red,rose,ruby,rust,sage,sand,scarlet,silver,slate,teal,turquoise,violet,white,yellow', ',') AS colours,
    string_to_array('acrylic,alpaca,aluminium,bamboo,beech,birch,brass,canvas,cashmere,cedar,ceramic,cherrywood,clay,concrete,cork,corduroy,cotton,denim,enamel,felt,flannel,fleece,glass,granite,hemp,iron,jute,lambswool,leather,linen,maple,marble,merino,mohair,nickel,oak,paper,pewter,pine,porcelain,raffia,rattan,rubber,satin,silk,stoneware,suede,terracotta,tin,tweed,velvet,walnut,wicker,wool,zinc', ',') AS materials,
    string_to_array('apron,backpack,balloon,basket,beanie,bell,belt,bench,blanket,bookend,bookmark,bottle,bowl,bracelet,broom,brooch,brush,bucket,bunting,cabinet,cakestand,calendar,candle,candlestick,cap,carafe,card,cardigan,chair,charm,chessboard,clock,coaster,coat,colander,comb,cooler,corkscrew,crayon,cup,curtain,cushion,decanter,diary,dish,doily,doormat,drawer,dress,earring,easel,envelope,eraser,fan,flask,fork,frame,globe,glove,goblet,grater,hairpin,hammock,hamper,handbag,hanger,harmonica,hat,hook,hourglass,jacket,jar,jigsaw,journal,jug,jumper,kettle,keyring,kite,knife,ladle,lamp,lantern,lunchbox,magnet,marble,mask,mat,mirror,mitten,mobile,mug,napkin,necklace,notebook,organiser,ornament,paintbrush,pan,parasol,pencil,pendant,picture,pillow,pitcher,plate,planter,platter,poncho,postcard,poster,pot,pouch,puppet,purse,puzzle,quilt,rack,radio,raincoat,ribbon,ring,rolling,rope,rucksack,rug,ruler,satchel,saucer,scarf,scissors,shawl,shelf,shirt,shoehorn,skirt,slipper,soap,sock,spatula,spoon,stamp,stapler,stocking,stool,suitcase,sunglasses,sweater,table,tankard,tapestry,teacup,teapot,thermometer,thimble,ticket,tie,tin,toaster,torch,towel,toy,tray,trinket,trivet,trousers,tumbler,umbrella,vase,waistcoat,wallet,watch,whisk,whistle,wreath,yoyo', ',') AS things,
    string_to_array('adventure,alphabet,animal,apple,beach,bicycle,bird,birthday,bumblebee,butterfly,cactus,camping,castle,christmas,circus,cloud,daisy,dinosaur,dragon,easter,elephant,fairy,feather,fish,flamingo,fox,garden,gardener,giraffe,harvest,heart,hedgehog,holiday,honeycomb,kitchen,ladybird,leaf,lighthouse,lion,meadow,mermaid,moon,mountain,mushroom,nursery,ocean,office,owl,panda,party,peacock,picnic,pirate,planet,poppy,rabbit,rainbow,robot,rocket,safari,sailor,school,seaside,snowflake,space,spring,squirrel,star,strawberry,sunflower,sunset,tiger,train,tropical,tulip,unicorn,valentine,wedding,whale,woodland', ',') AS motifs,
    string_to_array('ba,be,bo,ca,ce,co,da,de,do,fa,fe,fi,ga,go,ha,he,ja,jo,ka,ki,la,le,li,lo,ma,me,mi,mo,na,ne,ni,no,pa,pe,po,ra,re,ri,ro,sa,se,si,so,ta,te,ti,to,va,ve,vi,wa,we,za,zo', ',') AS syllables,
    string_to_array('bestseller,bundle,clearance,eco,exclusive,fairtrade,fragile,gift,handcrafted,imported,kids,limited,local,men,new,outlet,personalised,premium,recycled,refill,sale,seasonal,set,spare,teens,unisex,vegan,wholesale,women,workshop', ',') AS tags;

-- The number `salt` of product `n`, from 0 to below `count`.
CREATE FUNCTION pg_temp.chance(n bigint, salt bigint, count bigint) RETURNS integer
    LANGUAGE sql IMMUTABLE AS $$
    SELECT ((hashint8extended(n, salt) & 9223372036854775807) % count)::integer
$$;
CREATE FUNCTION pg_temp.pick(n bigint, salt bigint, words text[]) RETURNS text
    LANGUAGE sql IMMUTABLE AS $$
    SELECT words[1 + pg_temp.chance(n, salt, cardinality(words))]
$$;
-- A UUIDv7 of a millisecond: ids sort like their numbers.
CREATE FUNCTION pg_temp.id(ms bigint, of text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(ms), 12, '0') || '7' || substr(md5(of), 1, 3) || '8'
        || substr(md5(of), 4, 15))::uuid
$$;
